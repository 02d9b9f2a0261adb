"""The tables in the paper's shape: every row and cell against what the made run holds."""

import csv

import numpy as np
import pytest
from fake_matrix import MATH, OLYMPIAD, OTHER, matrix_config, matrix_run
from fake_results import PAPER, TEST_PROBLEMS, FakeResults, fake_config

from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.table_names import table_names

KS = (1, 4, 8, 16, 32)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = matrix_run(tmp_path_factory.mktemp("results") / "made")
    run.summarise()
    return run


@pytest.fixture(scope="module")
def default(tmp_path_factory):
    run = FakeResults(fake_config(), tmp_path_factory.mktemp("results") / "default")
    run.write_inputs()
    run.summarise()
    return run


def lines(run, name):
    with run.table(name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def papers(name):
    with (PAPER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def numbers(line, column):
    """Our mean and SD, and the paper's; None where blank."""
    names = (column, f"{column}_sd", f"paper_{column}", f"paper_{column}_sd")
    return tuple(float(line[name]) if line[name] else None for name in names)


def expected(solved, k):
    """Mean over teachers and SD over runs in percent, from how many of four problems had one right sample of eight."""
    if k > 8:
        return None, None
    values = [[100 * count / TEST_PROBLEMS * k / 8 for count in students] for students in solved]
    flat = [value for students in values for value in students]
    return np.mean([np.mean(students) for students in values]), np.std(flat, ddof=1)


OURS_ON_MATH = {
    "Base model inference": "base",
    "Hard-Only": "hard_only",
    "SeRL (step 50)": "serl_10",
    "SeRL (step 100)": "serl_20",
    "SOAR-PQ": "soar_pq",
    "SOAR-PS": "soar_ps",
    "Grounded-T": "grounded_t",
    "MATH train (128)": "real",
    "Grounded-T (4)": "grounded_t_4",
    "Strict | T": "strict_t",
    "PQ correct only": "pq_correct",
}
OURS_ON_OLYMPIAD = {
    "Base model inference": "base",
    "Hard-Only": "hard_only",
    "SOAR-PQ (MATH)": "ood_pq",
    "SOAR-PS (MATH)": "ood_ps",
}


@pytest.mark.parametrize(
    ("table", "ours", "solved", "lacking"),
    [
        ("table4_math", OURS_ON_MATH, MATH, ["Grounded-T (4)", "Strict | T", "PQ correct only"]),
        ("table6_olympiadbench", OURS_ON_OLYMPIAD, OLYMPIAD, []),
        ("table8_multi_turn", {"n=32 X=64": "two_turn"}, MATH, []),
        ("table5_harp", {}, {}, []),
        ("table9_llama31_8b", {}, {}, []),
    ],
)
def test_passk_table_has_the_papers_rows_then_ours_and_every_cell(made, table, ours, solved, lacking):
    figures = {(row["method"], int(row["k"])): row for row in papers(table)}
    found = lines(made, table)
    assert [line["row"] for line in found] == [*dict.fromkeys(row for row, _ in figures), *lacking]
    for line in found:
        arm = ours.get(line["row"])
        assert line["ours"] == (arm or "")
        for k in KS:
            paper = figures.get((line["row"], k))
            wanted = (*(expected(solved[arm], k) if arm else (None, None)), paper and float(paper["mean_percent"]),
                      paper and float(paper["sd_percent"]))  # fmt: skip
            assert numbers(line, f"pass_at_{k}") == pytest.approx(wanted, abs=1e-3), (line["row"], k)


def test_rows_say_how_many_seeds_they_rest_on(made):
    seeds = {line["ours"]: line["seeds"] for line in lines(made, "table4_math")}
    assert seeds["soar_pq"] == "2 teacher × 2 student seeds"
    assert (seeds["hard_only"], seeds[""]) == ("2 seeds", "")
    # Seeds of a policy that was made on another data set.
    ood = {line["ours"]: line["seeds"] for line in lines(made, "table6_olympiadbench")}
    assert ood["ood_pq"] == ood["ood_ps"] == "2 teacher × 2 student seeds"


def test_a_data_set_that_stands_for_none_of_the_papers_has_a_table_of_its_own(made):
    assert table_names(made.config)[-1] == "passk_other"
    found = lines(made, "passk_other")
    assert [line["ours"] for line in found] == list(OTHER)
    for line in found:
        for k in (1, 4, 8):
            wanted = (*expected(OTHER[line["ours"]], k), None, None)
            assert (*numbers(line, f"pass_at_{k}")[:2], None, None) == pytest.approx(wanted, abs=1e-3)
    assert not [column for column in found[0] if column.startswith("paper_") and any(line[column] for line in found)]
    assert "pass_at_32" not in found[0]


def test_without_promotion_cells_are_blank_and_the_row_says_why(tmp_path):
    run = matrix_run(tmp_path / "silent", promoted=False)
    run.summarise()
    by_arm = {line["ours"]: line for line in lines(run, "table6_olympiadbench")}
    assert by_arm["ood_pq"]["seeds"] == by_arm["ood_ps"]["seeds"] == "no promotion"
    assert numbers(by_arm["ood_pq"], "pass_at_8")[:2] == (None, None)
    assert numbers(by_arm["hard_only"], "pass_at_8")[0] == pytest.approx(12.5)


def test_vendi_table_has_the_papers_rows_then_ours_but_no_transferred_set_twice(made):
    long = {(row.dataset, row.arm): row for row in made.rows("vendi")}
    found = lines(made, "table1_vendi")
    assert [(line["row"], line["ours"]) for line in found] == [
        ("Base-T", ""), ("Grounded-T (HARP)", ""), ("Grounded-T (MATH)", "grounded_t"), ("PQ", "soar_pq"),
        ("Intrinsic-T", ""), ("Grounded-T (4)", "grounded_t_4"), ("Strict | T", "strict_t"), ("Two turns", "two_turn"),
        ("Real", "real"), ("PQ correct only", "pq_correct"),
    ]  # fmt: skip
    for line, (method, score, sd) in zip(found, [row.values() for row in papers("table1_vendi")], strict=False):
        row = long.get(("math", line["ours"]))
        ours = (row.vendi_mean, row.vendi_sd) if row else (None, None)
        assert line["row"] == method
        assert numbers(line, "vendi_score") == (*ours, float(score), float(sd))
    assert {line["ours"]: line["seeds"] for line in found}["soar_pq"] == "2 question sets, 16 questions"


def test_sizes_table(made):
    found = [tuple(line.values()) for line in lines(made, "table2_datasets")]
    assert found == [
        ("MATH", "math", "", "20", "5000", "5", "359", "4", "360"),
        ("HARP", "", "", "", "4768", "", "714", "", "714"),
        ("OlympiadBench", "olympiad", "", "20", "674", "5", "158", "4", "158"),
        ("other", "other", "", "20", "", "5", "", "4", ""),
    ]


def test_hyperparameters_are_the_resolved_ones_beside_the_papers(made):
    found = {line["row"]: line for line in lines(made, "table3_hyperparameters")}
    wanted = {f"{row['scope']}: {row['name']}".replace("_", " "): row for row in papers("table3_hyperparameters")}
    assert list(found) == list(wanted)
    for row, line in found.items():
        assert (line["paper_teacher"], line["paper_student"]) == (wanted[row]["teacher"], wanted[row]["student"])
    ours = {row: (line["teacher"], line["student"]) for row, line in found.items()}
    assert ours["rloo: optimizer"] == ("AdamW", "AdamW")
    assert ours["rloo: learning rate"] == ("1e-5", "1e-5")
    assert ours["rloo: lr warmup steps"] == ("20", "0")
    assert ours["rloo: batch size"] == ("", "8")
    assert ours["rloo: group size"] == ("2", "32")
    assert ours["rloo: max generated tokens"] == ("512", "1024")
    assert ours["meta rl: promotion threshold tau"] == ("0.01 or 0.02", "")
    assert ours["meta rl: dataset size n"] == ("4 or 2", "")
    assert ours["meta rl: inner steps"] == ("", "10 (15 after a promotion)")
    assert ours["meta rl: outer steps"] == ("12", "")
    assert ours["evaluation: max training steps"] == ("", "20")
    assert ours["evaluation: synthetic warmup steps"] == ("", "10")
    assert ours["evaluation: samples per problem"] == ("", "8")


def test_hyperparameters_of_a_run_without_soar_runs_leave_the_teacher_blank(tmp_path):
    arms = {"hard_only": {"label": "Hard-Only", "student": {"group_size": 16}}}
    run = FakeResults(fake_config(arms=arms, objectives={}, report={"headline_arms": []}), tmp_path / "bare",
                  solved={("shuffles", "hard_only", 0, 1): 1})  # fmt: skip
    run.write_inputs()
    run.summarise()
    ours = {line["row"]: (line["teacher"], line["student"]) for line in lines(run, "table3_hyperparameters")}
    assert ours["rloo: learning rate"] == ("", "1e-5")
    assert ours["rloo: group size"] == ("", "16")
    assert ours["meta rl: outer steps"] == ("", "")


def test_taxonomy_table_has_a_column_per_arm(made):
    found = {line["row"]: line for line in lines(made, "table7_taxonomy")}
    methods = papers("table7_taxonomy")
    assert list(found) == [
        *(row["category"].removesuffix("_percent").replace("_", " ") for row in methods[:-1]),
        "questions with a verdict", "questions without one", "teacher seeds",
    ]  # fmt: skip
    columns = [name for name in found["correct"] if "paper_" not in name and not name.endswith("_sd")][3:]
    assert columns == ["Base-T", "Intrinsic-T", "Grounded-T", "math_soar_pq", "math_strict_t"]
    # Teacher 1 had four verdicts of five, teacher 2 four of four: see VERDICTS.
    for category, share, of_each in [
        ("well posed", 5 / 8, (3 / 4, 2 / 4)),
        ("correct", 3 / 8, (2 / 4, 1 / 4)),
        ("arithmetic error", 1 / 8, (1 / 4, 0)),
        ("logic error", 1 / 8, (0, 1 / 4)),
        ("impossibility error", 1 / 8, (1 / 4, 0)),
        ("ambiguity error", 2 / 8, (0, 2 / 4)),
    ]:
        paper = next(row for row in methods if row["category"].removesuffix("_percent").replace("_", " ") == category)
        wanted = (100 * share, 100 * np.std(of_each, ddof=1), float(paper["PQ"]), None)
        assert numbers(found[category], "math_soar_pq") == pytest.approx(wanted, abs=1e-3)
        assert numbers(found[category], "Grounded-T") == (None, None, float(paper["Grounded-T"]), None)
    assert numbers(found["correct"], "math_strict_t") == (100.0, None, None, None)
    for row, ours, paper in [("questions with a verdict", 8, 384), ("questions without one", 1, None)]:
        assert numbers(found[row], "math_soar_pq") == (ours, None, paper, None)


def test_taxonomy_rows_leave_out_questions_without_a_verdict(made):
    pq, strict = made.rows("taxonomy")
    assert (pq.judged, pq.unjudged, pq.teacher_seeds) == (8, 1, 2)
    assert (strict.judged, strict.correct_percent, strict.correct_sd_percent) == (2, 100.0, None)


def test_an_arm_without_a_paper_row_takes_no_figure_of_a_row_that_is_called_like_it(tmp_path):
    arms = fake_config().model_dump(exclude_unset=True)["arms"]
    del arms["hard_only"]["paper"]
    run = FakeResults(fake_config(arms=arms), tmp_path / "unnamed")
    run.write_inputs()
    run.summarise()
    papers_row, ours = (line for line in lines(run, "table4_math") if line["row"] == "Hard-Only")
    assert numbers(papers_row, "pass_at_8") == (None, None, 3.2, 0.8)
    assert (ours["ours"], *numbers(ours, "pass_at_8")[2:]) == ("hard_only", None, None)


def test_a_row_that_two_data_sets_stand_for_comes_once_for_each(made):
    datasets = matrix_config().model_dump(exclude_unset=True)["datasets"]
    datasets["other"]["paper_table"] = "table4_math"
    twice = FakeResults(matrix_config(datasets=datasets), made.folder.parent / "twice", solved=made.solved)
    twice.write_inputs()
    twice.summarise()
    found = [(line["row"], line["ours"]) for line in lines(twice, "table4_math") if "Hard-Only" in line["row"]]
    assert found == [("Hard-Only, math", "hard_only"), ("Hard-Only, other", "hard_only"), ("Hard-Only (g=128)", "")]
    assert "passk_other" not in table_names(twice.config)


def test_every_run_has_every_table_in_both_forms(default):
    names = table_names(default.config)
    assert names == sorted(path.stem for path in PAPER.glob("table*.csv"))
    for name in names:
        assert lines(default, name)
        assert default.table(name, "md").read_text(encoding="utf-8").startswith(f"## Table {name[5]}: ")
    assert not any(line["ours"] for line in lines(default, "table5_harp"))


def test_markdown_shows_ours_beside_the_paper(made):
    text = made.table("table4_math", "md").read_text(encoding="utf-8")
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = {row[0]: row for row in ([cell.strip() for cell in line.strip("|").split("|")] for line in table)}
    assert cells[""][1:9] == ["ours", "seeds", "pass@1", "paper", "pass@4", "paper", "pass@8", "paper"]
    mean, sd = expected(MATH["soar_pq"], 8)
    pq = cells["SOAR-PQ"]
    assert pq[:3] == ["SOAR-PQ", "`soar_pq`", "2 teacher × 2 student seeds"]
    assert pq[7:9] == [f"{mean:.1f} ± {sd:.1f}", "8.5 ± 3.7"]
    # Not run: blank, with the paper's beside.
    assert cells["HARP train (128)"][1:5] == ["", "", "", "2.4 ± 1.0"]
    # A bar in a label does not break the table.
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "Strict \\| T" in text


def test_the_papers_tables_are_read_in_the_order_of_their_rows():
    figures = read_paper(fake_config(), sorted(PAPER.glob("*.csv")))
    table9 = figures.passk[figures.passk["paper_table"] == "table9_llama31_8b"]
    assert list(table9["paper"].unique()) == ["Base model inference", "Hard-Only", "Grounded-T"]
    assert list(figures.taxonomy["paper"]) == ["Base-T", "Intrinsic-T", "Grounded-T", "PQ"]
    assert figures.taxonomy.set_index("paper").loc["PQ", "paper_correct_percent"] == 32.8
    groups = figures.hyperparameters.set_index(["scope", "name"]).loc[("rloo", "group_size")]
    assert tuple(groups) == ("4", "32")
