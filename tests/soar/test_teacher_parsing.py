import pytest

from soar_pipeline.soar.parsing import ParsedQuestion, Rejection, parse_teacher_completion


@pytest.mark.parametrize(
    ("text", "question", "answer"),
    [
        (r"<question>1+1?</question><answer>\boxed{2}</answer>", "1+1?", "2"),
        (r"<question>482917aLbR</question>a829174b482917<answer>\boxed{482917}</answer>", "482917aLbR", "482917"),
        ("<question>\n 1+1? \n</question>\n<answer>\n\\boxed{2}\n</answer>\n", "1+1?", "2"),
        (r"Let me think. <question>q</question><answer>\boxed{2}</answer>", "q", "2"),
        (r"<question>q</question> Working: 1 + 1 = 2. <answer>\boxed{2}</answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{2}</answer> I hope it helps.", "q", "2"),
        (r"<question>q</question><answer>The answer is \boxed{2}.</answer>", "q", "2"),
        (r"<question>q</question><answer>$\boxed{2}$</answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{1}, no, \boxed{2}</answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{ 2 }</answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{\frac{1}{2}}</answer>", "q", r"\frac{1}{2}"),
        (r"<question>q</question><answer>\boxed{\{1,2\}}</answer>", "q", r"\{1,2\}"),
        (r"<question>q</question>\boxed{1}<answer>\boxed{2}</answer>\boxed{3}", "q", "2"),
        (r"<question>What is \boxed{x}?</question><answer>\boxed{2}</answer>", r"What is \boxed{x}?", "2"),
        ("<question>two\nlines\tand a tab</question><answer>\\boxed{2}</answer>", "two\nlines\tand a tab", "2"),
        (r"<question>Is 1 < 2 > 0?</question><answer>\boxed{2}</answer>", "Is 1 < 2 > 0?", "2"),
        (r"<question><b>bold</b></question><answer>\boxed{2}</answer>", "<b>bold</b>", "2"),
        (
            "<question>Größe \N{GREEK SMALL LETTER PI}?</question><answer>\\boxed{2}</answer>",
            "Größe \N{GREEK SMALL LETTER PI}?",
            "2",
        ),
        ("<question>" + "q" * 10_000 + r"</question><answer>\boxed{2}</answer>", "q" * 10_000, "2"),
        (r"<think>hm</think><question>q</question><answer>\boxed{2}</answer>", "q", "2"),
        # The first complete pair counts.
        (r"<question>q</question><answer>\boxed{2}</answer><question>p</question><answer>\boxed{3}</answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{2}</answer><question>p</question><answer>", "q", "2"),
        (r"<question>q</question><question>p</question><answer>\boxed{2}</answer>", "p", "2"),
        (r"<question>q</question><answer>\boxed{1}</answer><answer>\boxed{2}</answer>", "q", "1"),
        (r"<question>q</question> <question> stands above <answer>\boxed{2}</answer>", "q", "2"),
        (r"<answer>\boxed{1}</answer><question>q</question><answer>\boxed{2}</answer>", "q", "2"),
        (r"In <question> tags: <question>q</question><answer>\boxed{2}</answer>", "q", "2"),
        (r"<question><question>q</question></question><answer>\boxed{2}</answer>", "q", "2"),
        (r"<question>q</question><answer><answer>\boxed{2}</answer></answer>", "q", "2"),
        (r"<question>q</question><answer>\boxed{2}</answer></answer>", "q", "2"),
    ],
)
def test_accepted(text, question, answer):
    assert parse_teacher_completion(text) == ParsedQuestion(question, answer)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "missing_tag"),
        ("What is 1+1?", "missing_tag"),
        (r"\boxed{2}", "missing_tag"),
        (r"q</question><answer>\boxed{2}</answer>", "missing_tag"),
        (r"<question>q<answer>\boxed{2}</answer>", "missing_tag"),
        (r"<question>q</question>\boxed{2}</answer>", "missing_tag"),
        (r"<question>q</question><answer>\boxed{2}", "missing_tag"),
        (r"<question>q</question>", "missing_tag"),
        (r"<answer>\boxed{2}</answer>", "missing_tag"),
        (r"<Question>q</Question><Answer>\boxed{2}</Answer>", "missing_tag"),
        (r"<question >q</question><answer>\boxed{2}</answer>", "missing_tag"),
        (r"<question>q<question><answer>\boxed{2}<answer>", "missing_tag"),
        (r"<answer>\boxed{2}</answer><question>q</question>", "tag_order"),
        (r"</question>q<question><answer>\boxed{2}</answer>", "tag_order"),
        (r"<question>q</question></answer>\boxed{2}<answer>", "tag_order"),
        (r"<question>q<answer>\boxed{2}</answer></question>", "tag_order"),
        (r"<question>q<answer></question>\boxed{2}</answer>", "tag_order"),
        (r"<question>q<answer>p</question><question>o</answer>\boxed{2}</question></answer>", "tag_order"),
        (r"<question>q</question><answer>2</answer><question>p</question><answer>\boxed{3}</answer>", "no_box"),
        (r"<question></question><answer>\boxed{2}</answer>", "empty_question"),
        ("<question> \n\t </question><answer>\\boxed{2}</answer>", "empty_question"),
        (r"<question>q</question><answer></answer>", "no_box"),
        (r"<question>q</question><answer>2</answer>", "no_box"),
        (r"<question>q</question>\boxed{2}<answer>2</answer>", "no_box"),
        (r"<question>q</question><answer>2</answer>\boxed{2}", "no_box"),
        (r"<question>\boxed{2}</question><answer>2</answer>", "no_box"),
        (r"<question>q</question><answer>\boxed{2</answer>}", "no_box"),
        (r"<question>q</question><answer>\boxed 2</answer>", "no_box"),
        (r"<question>q</question><answer>boxed{2}</answer>", "no_box"),
        (r"<question>q</question><answer>\fbox{2}</answer>", "no_box"),
        (r"<question>q</question><answer>\boxed{}</answer>", "empty_box"),
        ("<question>q</question><answer>\\boxed{ \n }</answer>", "empty_box"),
        (r"<question>q</question><answer>\boxed{2} \boxed{}</answer>", "empty_box"),
        ("<question>q\0</question><answer>\\boxed{2}</answer>", "control_character"),
        ("<question>q</question><answer>\\boxed{2\0 3}</answer>", "control_character"),
        ("<question>q\x1b[31m</question><answer>\\boxed{2}</answer>", "control_character"),
        ("<question>a\x07b</question><answer>\\boxed{2}</answer>", "control_character"),
        ("<question>a\x7fb</question><answer>\\boxed{2}</answer>", "control_character"),
        ("<question>a\x85b</question><answer>\\boxed{2}</answer>", "control_character"),
    ],
)
def test_rejected(text, reason):
    assert parse_teacher_completion(text) == Rejection(reason)


PIECES = ["<question>", "<question>q</question>", "<answer>", "<question>q</question><answer>", "</answer>x"]


@pytest.mark.parametrize("piece", PIECES)
def test_time_is_linear_in_the_length_of_a_completion(piece):
    """A hundred thousand characters, which take years if every tag is tried with every other."""
    assert isinstance(parse_teacher_completion(piece * (100_000 // len(piece))), Rejection)
