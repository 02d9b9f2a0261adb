"""Properties of parser, extractor, artifacts and report over texts that nobody thought of.

How many examples are tried is Hypothesis' profile (conftest.py): some hundred here, without end in `make fuzz`.
"""

import string
from collections.abc import Callable
from html.parser import HTMLParser

import pyarrow as pa
import pytest
from fake_results import CAPTIONS, PAPER, FakeResults, fake_config
from hypothesis import given, settings
from hypothesis import strategies as st

from soar_pipeline.artifacts import schemas
from soar_pipeline.artifacts.files import read_rows, table, write_parquet
from soar_pipeline.artifacts.provenance import Provenance, digest, read_provenance
from soar_pipeline.artifacts.schemas import HARD_AUDIT, PASSK
from soar_pipeline.config import Plan, SoarRun
from soar_pipeline.grading.boxes import last_boxed
from soar_pipeline.reporting import page
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.reporting.long_tables import read_tables
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.record import rule_costs
from soar_pipeline.reporting.sampled_questions import AskedInStep, SampledQuestion
from soar_pipeline.soar.parsing import TAGS, ParsedQuestion, Rejection, parse_teacher_completion, tagged

# Where an example writes a file or a page, which takes milliseconds.
FEWER = settings(max_examples=max(1, settings().max_examples // 16))
# All characters that UTF-8 can write, and the pieces that mean something here more often than chance has it.
CHARACTERS = st.characters(codec="utf-8")
PIECES = st.sampled_from(
    [*TAGS, "\\boxed{", "\\boxed", "\\\\", "\\{", "\\}", "{", "}", "5", " ", "\n", "\x00", "\u202e"]
)
TEXTS = st.lists(st.one_of(PIECES, st.text(CHARACTERS, max_size=8)), max_size=30).map("".join)
PLAIN = st.text(string.ascii_letters + string.digits + " +-*/=^_.,()", min_size=1).filter(str.strip)


def balanced(text: str) -> bool:
    """Braces that open are closed, by a count of our own: none is escaped here."""
    depth = 0
    for character in text:
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


@given(TEXTS)
def test_any_text_has_a_box_that_stands_in_it_or_none(text):
    found = last_boxed(text)
    assert found is None or (found in text and "\\boxed" in text)


@given(TEXTS, PLAIN)
def test_a_box_at_the_end_is_the_last_one(before, content):
    # A backslash before it would make a line break of the box's own.
    assert last_boxed(before + " \\boxed{" + content + "}") == content.strip()


@given(PLAIN, st.text(CHARACTERS, max_size=50).filter(lambda text: "\\boxed" not in text))
def test_text_without_a_box_after_it_changes_no_box(content, after):
    assert last_boxed("\\boxed{" + content + "}" + after) == content.strip()


@given(st.text("{}ab", max_size=40))
def test_content_of_a_box_is_balanced(content):
    found = last_boxed("\\boxed{" + content + "}")
    assert found is None or balanced(found)
    if balanced(content):
        assert found == content.strip()


@given(TEXTS)
def test_a_parsed_question_is_stripped_and_not_empty_and_stands_in_the_text(text):
    parsed = parse_teacher_completion(text)
    if isinstance(parsed, Rejection):
        assert parsed.reason
        return
    assert parsed.question and parsed.answer
    assert (parsed.question, parsed.answer) == (parsed.question.strip(), parsed.answer.strip())
    assert parsed.question in text and parsed.answer in text
    assert not any(tag in parsed.question for tag in TAGS)


@given(PLAIN, PLAIN, PLAIN)
def test_a_well_formed_question_comes_back(question, answer, around):
    text = f"{around}<question>{question}</question>{around}<answer>{around}\\boxed{{{answer}}}</answer>{around}"
    assert parse_teacher_completion(text) == ParsedQuestion(question.strip(), answer.strip())


@given(TEXTS)
def test_what_stands_between_tags_is_part_of_the_text(text):
    assert tagged(text, "question") in text


KINDS = {
    pa.string(): st.text(CHARACTERS, max_size=20),
    pa.int32(): st.integers(-(2**31), 2**31 - 1),
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
}
SCHEMAS = {name: schema for name, schema in vars(schemas).items() if isinstance(schema, pa.Schema)}


def rows_of(schema: pa.Schema) -> st.SearchStrategy:
    columns = {field.name: st.none() | KINDS[field.type] if field.nullable else KINDS[field.type] for field in schema}
    return st.lists(st.fixed_dictionaries(columns), max_size=4)


@pytest.mark.parametrize("name", SCHEMAS)
def test_any_rows_of_a_schema_come_back_from_its_file(name, tmp_path):
    schema = SCHEMAS[name]

    @FEWER
    @given(rows_of(schema), st.dictionaries(st.text(CHARACTERS), st.text(CHARACTERS), max_size=3))
    def comes_back(rows, config):
        path = tmp_path / "file.parquet"
        write_parquet(path, table(rows, schema), Provenance(name, config))
        assert read_rows(path, schema) == rows
        assert read_provenance(path)["config"] == config
        first = digest(path)
        write_parquet(path, table(rows, schema), Provenance("another", {}))
        assert digest(path) == first

    comes_back()


TOKENS = "<script> </script> </td> </title> <!-- --> <![CDATA[ ]]> &lt; &amp; &#60; &#x3c; & < > \" ' ` {{ }} {#"
MARKUP = st.sampled_from([*TOKENS.split(), "<img src=x onerror=f()>", "{% raw %}"])
SHOWN = st.lists(st.one_of(MARKUP, PIECES, st.text(CHARACTERS, max_size=8)), max_size=20).map("".join)


class Page(HTMLParser):
    """Tags with their attributes, and the text of the cells that hold what a model wrote."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.cells, self.in_cell = [], [], False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, attrs))
        if ("class", "model") in attrs:
            self.cells.append("")
            self.in_cell = True

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((tag, None))
        self.in_cell = False

    def handle_data(self, data: str) -> None:
        if self.in_cell:
            self.cells[-1] += data


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Callable[[list[tuple[str, str]]], Page]:
    """The report of a made run whose teacher asked these questions."""
    run = FakeResults(fake_config(figures={}), tmp_path_factory.mktemp("results") / "made")
    run.write_inputs()
    run.summarise()
    tables = read_tables(run.long_tables)
    paper = read_paper(run.config, sorted(PAPER.glob("*.csv")))
    captions = sorted(CAPTIONS.glob("*.rst"))
    [teacher, *_] = Plan(run.config).soar_runs

    def page_of(questions: list[tuple[str, str]]) -> Page:
        sampled = [SampledQuestion(1, question, answer, None, None) for question, answer in questions]
        asked = {SoarRun(*teacher): [AskedInStep(1, 0, 0.0, False, len(sampled), sampled)]}
        empty = read_frame([], PASSK), read_frame([], HARD_AUDIT)
        frames = page.RunFrames(*empty, counts={}, costs=rule_costs(run.folder / "none"))
        return Page(page.render(run.config, tables, paper, [], captions, asked, frames))

    return page_of


@FEWER
@given(st.lists(st.tuples(SHOWN, SHOWN), min_size=1, max_size=8))
def test_whatever_a_teacher_writes_is_text_of_its_cell_and_no_markup(rendered, questions):
    found, plain = rendered(questions), rendered([("plain", "text")] * len(questions))
    assert found.tags == plain.tags
    assert found.cells == [text for pair in questions for text in pair]
