import numpy as np
import pandas as pd
import pytest
from fake_results import DATASET, PAPER, SOLVED, TEST_PROBLEMS, FakeResults, fake_config
from scipy import stats

from soar_pipeline.artifacts.files import ArtifactError, read_rows
from soar_pipeline.artifacts.schemas import DIVERSITY, PASSK, PROMOTIONS
from soar_pipeline.config import ConfigError, Plan
from soar_pipeline.reporting.frames import read_frame
from soar_pipeline.reporting.long_tables import SIZES, VENDI, read_table, with_columns, write_table
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.tables import passk_table, promoted_students_table, vendi_table
from soar_pipeline.reporting.unstuck import unstuck_table


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = FakeResults(fake_config(), tmp_path_factory.mktemp("results") / "made")
    run.write_inputs()
    run.summarise()
    return run


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    run = FakeResults(fake_config(), tmp_path_factory.mktemp("results") / "silent", promoted=False)
    run.write_inputs()
    run.summarise()
    return run


def _passk(run):
    return {(row.arm, row.k): row for row in run.rows("passk")}


def test_passk_file_has_every_run_under_its_own_name(made):
    # One right sample of eight: pass@1 is 1/8 of the solved share, pass@4 one half, pass@8 all of it.
    rows = read_rows(made.folder / "passk.parquet", PASSK)
    found = {
        (row["dataset"], row["arm"], row["teacher_seed"], row["student_seed"], row["k"]): row["value"] for row in rows
    }
    expected = {(DATASET, *run, k): solved / TEST_PROBLEMS * k / 8 for run, solved in SOLVED.items() for k in (1, 4, 8)}
    assert found == pytest.approx(expected)


def test_passk_row_of_a_nested_arm(made):
    row = _passk(made)["soar_pq", 8]
    values = [100 * solved / TEST_PROBLEMS for (arm, _, _), solved in SOLVED.items() if arm == "soar_pq"]
    interval = stats.ttest_1samp([87.5, 100.0], 0).confidence_interval(0.95)
    assert row.mean_percent == pytest.approx(np.mean(values))
    assert row.sd_percent == pytest.approx(np.std(values, ddof=1))
    assert row.interval_low_percent == pytest.approx(max(0, interval.low), abs=1e-3)
    assert row.interval_high_percent == 100.0
    assert (row.teacher_seeds, row.student_runs, row.interval_over, row.status) == (2, 4, "teacher seeds", "")


def test_passk_row_of_an_arm_without_teacher(made):
    row = _passk(made)["hard_only", 4]
    assert (row.mean_percent, row.teacher_seeds, row.student_runs) == (pytest.approx(6.25), 0, 2)
    assert row.interval_over == "student seeds"


def test_an_interval_of_one_teacher_is_over_its_students(made):
    passk = pd.DataFrame(read_rows(made.folder / "passk.parquet", PASSK))
    promotions = pd.DataFrame([{"dataset": DATASET, "objective": "soar", "teacher_seed": 1}])
    paper = read_paper(made.config, sorted(PAPER.glob("*.csv")))
    table = passk_table(Plan(made.config), passk[passk["teacher_seed"] < 2], promotions, paper).set_index(["arm", "k"])
    assert table.loc[("base_t", 8), "interval_over"] == "students of one teacher"
    assert table.loc[("hard_only", 8), "interval_over"] == "student seeds"


def test_paper_figures_stand_beside_their_own_arm_and_k(made):
    rows = _passk(made)
    assert (rows["soar_pq", 8].paper_mean_percent, rows["soar_pq", 8].paper_sd_percent) == (8.5, 3.7)
    assert (rows["soar_ps", 4].paper_mean_percent, rows["soar_ps", 4].paper_sd_percent) == (3.8, 0.6)
    assert rows["base_t", 8].paper_mean_percent is None


def test_arms_stand_in_the_order_of_the_config(made):
    arms = list(dict.fromkeys(row.arm for row in made.rows("passk")))
    assert arms == list(made.config.arms)


def test_without_promotion_arms_are_marked_and_empty(silent):
    rows = _passk(silent)
    for arm in ("soar_pq", "soar_ps"):
        assert (rows[arm, 8].status, rows[arm, 8].mean_percent, rows[arm, 8].student_runs) == ("no promotion", None, 0)
    assert (rows["hard_only", 8].status, rows["hard_only", 8].mean_percent) == ("", 12.5)
    vendi = {row.arm: row for row in silent.rows("vendi")}
    assert (vendi["soar_pq"].status, vendi["soar_pq"].vendi_mean) == ("no promotion", None)
    assert vendi["base_t"].vendi_mean > 1


def test_sizes(made):
    [row] = made.rows("sizes")
    assert (row.dataset, row.pool, row.train, row.test) == (DATASET, 20, 5, TEST_PROBLEMS)
    assert (row.paper_pool, row.paper_train, row.paper_test) == (5000, 359, 360)


def test_vendi_rows_have_their_own_paper_entry(made):
    rows = {row.arm: row for row in made.rows("vendi")}
    assert set(rows) == {"soar_pq", "base_t"}
    assert (rows["soar_pq"].paper_vendi, rows["base_t"].paper_vendi) == (28.33, 34.91)
    assert (rows["base_t"].teacher_seeds, rows["base_t"].questions, rows["base_t"].subsample) == (2, 16, 6)
    assert 1 < rows["base_t"].vendi_mean <= 6


def test_soar_runs(made, silent):
    row = made.rows("runs")[1]
    assert (row.objective, row.teacher_seed, row.outer_steps, row.steps_with_signal) == ("soar", 2, 12, 12)
    assert (row.promotions, row.promotion_questions) == (2, 8)
    assert (row.train_accuracy_start_percent, row.train_accuracy_best_percent) == (0.0, 40.0)
    assert row.seconds == 120.0
    quiet = silent.rows("runs")[0]
    assert (quiet.steps_with_signal, quiet.promotions, quiet.promotion_questions) == (0, 0, 0)


def test_promotions_say_what_the_promoted_student_solves():
    run = {"dataset": "math", "objective": "soar"}
    made = [(1, 1, 0.0, 0.25), (1, 2, 0.25, 0.25), (2, 1, 0.0, 0.0), (2, 2, 0.0, 0.5)]
    frame = pd.DataFrame(
        {**run, "teacher_seed": seed, "stage": stage, "outer_step": 3 * stage, "student_step": 3 * stage - 1,
         "dataset_reward": 0.1, "student_reward": 0.1, "baseline_train_accuracy": before, "train_accuracy": after}
        for seed, stage, before, after in reversed(made)
    )  # fmt: skip
    table = promoted_students_table(frame)
    assert list(table["train_accuracy_percent"]) == [25.0, 25.0, 0.0, 50.0]
    assert list(table["status"]) == ["", "no better than the baseline before", "solves nothing of train", ""]


def test_partly_promoted_arm_says_how_many_runs_are_missing(tmp_path):
    run = FakeResults(fake_config(), tmp_path / "partly")
    run.write_inputs()
    silent = FakeResults(fake_config(), tmp_path / "silent", promoted=False)
    silent.write_inputs()
    promotions = "soar/soar/t2/promotions.parquet"
    (silent.data / promotions).replace(run.data / promotions)
    run.summarise()
    assert _passk(run)["soar_ps", 1].status == "1 of 2 SOAR runs had no promotion"
    # Teacher 1's promoted students, and the base model in place of teacher 2's: as a user of that run would find it.
    row, base = _passk(run)["soar_ps", 8], 0.0
    promoted = [100 * SOLVED["soar_ps", 1, seed] / TEST_PROBLEMS for seed in (1, 2)]
    assert row.all_runs_mean_percent == pytest.approx((np.mean(promoted) + base) / 2)
    assert row.all_runs_sd_percent == pytest.approx(np.std([*promoted, base, base], ddof=1), abs=1e-3)
    # Hard-Only in place of promotion questions.
    pq, hard_only = _passk(run)["soar_pq", 8], [100 * SOLVED["hard_only", 0, seed] / TEST_PROBLEMS for seed in (1, 2)]
    promoted = [100 * SOLVED["soar_pq", 1, seed] / TEST_PROBLEMS for seed in (1, 2)]
    assert pq.all_runs_mean_percent == pytest.approx((np.mean(promoted) + np.mean(hard_only)) / 2)
    assert _passk(run)["base_t", 8].all_runs_mean_percent is None


def test_without_any_promotion_all_runs_are_those_of_the_stand_in(silent, made):
    rows = _passk(silent)
    assert rows["soar_pq", 8].all_runs_mean_percent == rows["hard_only", 8].mean_percent == 12.5
    assert rows["soar_ps", 8].all_runs_mean_percent == rows["base", 8].mean_percent == 0.0
    assert all(row.all_runs_mean_percent is None for row in _passk(made).values())


def test_differences_count_the_students_above_every_student_of_the_baseline(made):
    rows = {(row.arm, row.k): row for row in made.rows("differences")}
    assert {arm for arm, _ in rows} == set(made.config.arms) - {"hard_only"}
    row, passk = rows["base_t", 8], _passk(made)
    assert row.difference_points == pytest.approx(passk["base_t", 8].mean_percent - passk["hard_only", 8].mean_percent)
    spreads = passk["base_t", 8].sd_percent, passk["hard_only", 8].sd_percent
    assert row.sd_points == pytest.approx(np.hypot(*spreads), abs=1e-3)
    # One, two, none and two problems solved, against at most one.
    expected = stats.binomtest(2, 4).proportion_ci(0.95, method="exact")
    assert (row.baseline, row.students_above, row.students) == ("hard_only", 2, 4)
    assert (row.above_low_percent, row.above_high_percent) == (
        pytest.approx(100 * expected.low, abs=1e-3),
        pytest.approx(100 * expected.high, abs=1e-3),
    )


def test_students_that_came_unstuck_are_counted_with_exact_intervals(made):
    rows = {row.arm: row for row in made.rows("unstuck")}
    assert list(rows) == list(made.config.arms)
    threshold = made.config.report.unstuck_percent
    for arm, row in rows.items():
        solved = {run[1:]: 100 * count / TEST_PROBLEMS for run, count in SOLVED.items() if run[0] == arm}
        count = sum(value >= threshold for value in solved.values())
        interval = stats.binomtest(count, len(solved)).proportion_ci(0.95, method="exact")
        assert (row.k, row.threshold_percent, row.unstuck, row.students) == (8, 50.0, count, len(solved))
        assert (row.unstuck_low_percent, row.unstuck_high_percent) == (
            pytest.approx(100 * interval.low, abs=1e-3),
            pytest.approx(100 * interval.high, abs=1e-3),
        )
    # Both teachers' promotion questions lift more than half of their students; Hard-Only has no teacher.
    pq = rows["soar_pq"]
    assert pq.unstuck > 0
    interval = stats.binomtest(pq.teachers_unstuck, 2).proportion_ci(0.95, method="exact")
    assert (pq.teachers, pq.teachers_low_percent) == (2, pytest.approx(100 * interval.low, abs=1e-3))
    assert (rows["hard_only"].teachers, rows["hard_only"].teachers_unstuck) == (None, None)


def test_a_teacher_counts_if_more_than_half_of_its_students_came_unstuck(made):
    values = {(1, 1): 0.5, (1, 2): 0.49, (2, 1): 0.9, (2, 2): 0.6, (2, 3): 0.1, (3, 1): 0.0}
    passk = pd.DataFrame(
        {"dataset": DATASET, "arm": "soar_pq", "teacher_seed": teacher, "student_seed": student, "k": 8, "value": value}
        for (teacher, student), value in values.items()
    )
    table = unstuck_table(Plan(made.config), passk, pd.DataFrame(columns=PROMOTIONS.names)).set_index("arm")
    row = table.loc["soar_pq"]
    assert (row["unstuck"], row["students"], row["teachers_unstuck"], row["teachers"]) == (3, 6, 1, 3)
    assert table.loc["hard_only", ["students", "unstuck"]].isna().all()


def test_an_arm_without_runs_has_no_difference(silent):
    [row] = [row for row in silent.rows("differences") if (row.arm, row.k) == ("soar_pq", 8)]
    assert (row.difference_points, row.students, row.students_above) == (None, None, None)


PLATEAU = {"steps": 20, "synthetic_steps": 10, "evaluate_every": 10,
           "checkpoint": {"smoothing": 1, "slope_distance": 2, "window": 10}}  # fmt: skip


def test_checkpoints_say_what_was_selected_and_what_another_window_gives(made, tmp_path):
    fixed = {(row.arm, row.teacher_seed, row.student_seed): row for row in made.rows("checkpoints")}
    assert set(fixed) == {run for run in SOLVED if run[0] not in ("base", "soar_ps")}
    row = fixed["soar_pq", 1, 2]
    assert (row.rule, row.selected_step, row.reported_steps, row.k) == ("fixed", 20, "20", 8)
    assert (row.reported_percent, row.selected_low_step, row.fixed_window_percent) == (75.0, None, None)

    run = FakeResults(fake_config(fresh_student=PLATEAU, report={"fixed_window": [5, 15]}), tmp_path / "plateau")
    run.write_inputs()
    run.summarise()
    rising = {(row.arm, row.teacher_seed, row.student_seed): row for row in run.rows("checkpoints")}["soar_pq", 1, 2]
    # The made reward rises evenly to the end and has no noise; its one evaluation in steps 6 to 15 is that of step 10.
    assert (rising.rule, rising.selected_step, rising.reported_steps) == ("reward_plateau", 20, "20")
    assert (rising.selected_low_step, rising.selected_high_step, rising.status) == (20, 20, "")
    assert (rising.reported_percent, rising.fixed_window_percent) == (75.0, 37.5)


def test_vendi_of_a_method_is_of_the_questions_of_all_its_teachers(made):
    rows = read_rows(made.folder / "diversity.parquet", DIVERSITY)
    sets = [row for row in rows if row["arm"] == "base_t"]
    assert [(row["pooled"], row["teacher_seed"], row["questions"]) for row in sets] == [
        (False, 1, 8), (False, 2, 8), (True, 0, 16)
    ]  # fmt: skip
    table = {row.arm: row for row in made.rows("vendi")}["base_t"]
    assert (table.vendi_mean, table.vendi_sd) == pytest.approx((sets[2]["vendi_mean"], sets[2]["vendi_sd"]), abs=1e-4)
    assert table.teacher_sd == pytest.approx(np.std([row["vendi_mean"] for row in sets[:2]], ddof=1), abs=1e-4)


def test_a_teacher_of_one_question_counts_though_it_has_no_score_and_one_without_does_not(made):
    def of(teacher_seed: int, questions: int, score: float | None, pooled: bool = False) -> dict:
        names = {"dataset": DATASET, "arm": "soar_pq", "teacher_seed": teacher_seed, "pooled": pooled}
        return {**names, "questions": questions, "subsample": questions, "vendi_mean": score, "vendi_sd": None}

    diversity = pd.DataFrame([of(1, 1, None), of(2, 1, None), of(3, 0, None), of(0, 2, 1.5, pooled=True)])
    promotions = read_frame([], PROMOTIONS)
    paper = read_paper(made.config, sorted(PAPER.glob("*.csv")))
    table = vendi_table(Plan(made.config), diversity, promotions, paper).set_index("arm").loc["soar_pq"]
    assert (table["teacher_seeds"], table["questions"], table["vendi_mean"]) == (2, 2, 1.5)


def test_paper_row_that_does_not_exist_is_named():
    arms = fake_config().model_dump()["arms"]
    arms["hard_only"]["paper"] = "Hard Only"
    with pytest.raises(ConfigError, match=r"arms\.hard_only\.paper: the paper's tables have no row 'Hard Only'"):
        read_paper(fake_config(arms=arms), sorted(PAPER.glob("*.csv")))


def test_csv_round_trip_keeps_empty_cells_and_types(tmp_path):
    file = tmp_path / "sizes.csv"
    values = ("a, b", 3, 2, 1, "NA", None, None, 4)
    table = with_columns(pd.DataFrame([values], columns=list(SIZES)), SIZES)
    write_table(file, table)
    assert file.read_text(encoding="utf-8").splitlines()[1] == '"a, b",3,2,1,NA,,,4'
    pd.testing.assert_frame_equal(read_table(file, SIZES), table)
    with pytest.raises(ArtifactError, match=r"columns .*'vendi_mean'.* are missing"):
        read_table(file, VENDI)
    file.write_text(file.read_text(encoding="utf-8").replace(",3,", ",three,"), encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"sizes\.csv: .*delete the file"):
        read_table(file, SIZES)


def test_numbers_of_a_table_are_rounded_to_four_decimals(tmp_path):
    values = ("a", "b", "c", 1, 2, None, 1 / 3, 2.00006, None, "", None, 1.0)
    write_table(tmp_path / "vendi.csv", with_columns(pd.DataFrame([values], columns=list(VENDI)), VENDI))
    assert (tmp_path / "vendi.csv").read_text(encoding="utf-8").splitlines()[1] == "a,b,c,1,2,,0.3333,2.0001,,,,1.0"
