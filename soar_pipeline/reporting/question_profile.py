"""What a teacher's questions are like: exact in the toy task, by length elsewhere."""

from dataclasses import dataclass

import pandas as pd

from soar_pipeline.problems.digit_shuffles import QUESTION_CLASSES, Shuffle, parse, question_class

ILL_POSED, AMBIGUOUS, RIGHT, WRONG = "ill posed", "ambiguous", "right", "wrong answer"
# Classes of difficulty (number of operations) as figures and pages show them.
BANDS = ((1, 2), (3, 4), (5, 6), (7, 9), (10, 12))


@dataclass(frozen=True)
class Judgement:
    """The truth about a question of the toy task; difficulty is None if it is ill posed or ambiguous."""

    verdict: str
    difficulty: int | None


def judge(question: str, answer: str) -> Judgement:
    """Whether a digit-shuffle question is well posed and its answer right."""
    problem = parse(question)
    match question_class(problem, right=_is_right(problem, answer)):
        case "malformed":
            return Judgement(ILL_POSED, None)
        case "ambiguous":
            return Judgement(AMBIGUOUS, None)
        case "wrong":
            return Judgement(WRONG, problem.difficulty)
        case _:
            return Judgement(RIGHT, problem.difficulty)


def composition(questions: pd.DataFrame) -> pd.Series:
    """The class of each question of the toy task: one of QUESTION_CLASSES per row of `question` and `answer`."""
    problems = [parse(question) for question in questions["question"]]
    classes = [
        question_class(problem, right=_is_right(problem, answer))
        for problem, answer in zip(problems, questions["answer"], strict=True)
    ]
    return pd.Series(pd.Categorical(classes, categories=QUESTION_CLASSES), index=questions.index, name="class")


def _is_right(problem: Shuffle | None, answer: str) -> bool:
    # An answer of six digits equals no other text: Math-Verify need not be asked.
    return problem is not None and not problem.ambiguous and answer.strip() == problem.answer


def difficulty_profile(questions: pd.DataFrame) -> pd.DataFrame:
    """Per outer step, shares in [0, 1]: of each of CLASSES (together 1), and of `right`."""
    judged = [
        judge(question, answer) for question, answer in zip(questions["question"], questions["answer"], strict=True)
    ]
    ones = pd.DataFrame({name: [_class(one) == name for one in judged] for name in CLASSES}, index=questions.index)
    ones[RIGHT] = [one.verdict == RIGHT for one in judged]
    return ones.groupby(questions["outer_step"]).mean()


def length_profile(questions: pd.DataFrame) -> pd.DataFrame:
    """Per outer step, the quartiles of the question length in characters: columns 0.25, 0.5 and 0.75."""
    lengths = questions["question"].str.len().groupby(questions["outer_step"])
    return lengths.quantile([0.25, 0.5, 0.75]).unstack()


def band_name(band: tuple[int, int]) -> str:
    return f"{band[0]}–{band[1]}"


CLASSES = (*map(band_name, BANDS), ILL_POSED, AMBIGUOUS)


def _class(judgement: Judgement) -> str:
    if judgement.difficulty is None:
        return judgement.verdict
    return next(band_name(band) for band in BANDS if band[0] <= judgement.difficulty <= band[1])
