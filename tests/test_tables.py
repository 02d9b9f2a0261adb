import numpy as np
import pytest
from made_run import DATASET, PAPER, SOLVED, TEST_PROBLEMS, MadeRun, made_config
from scipy import stats

from soar_pipeline.artifacts import PASSK, ArtifactError, read_rows
from soar_pipeline.config import ConfigError
from soar_pipeline.reporting.csv_files import read_csv, write_csv
from soar_pipeline.reporting.paper import read_paper
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow, VendiRow


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    run = MadeRun(made_config(), tmp_path_factory.mktemp("results") / "made")
    run.write_inputs()
    run.summarise()
    return run


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    run = MadeRun(made_config(), tmp_path_factory.mktemp("results") / "silent", promoted=False)
    run.write_inputs()
    run.summarise()
    return run


def _passk(run):
    return {(row.arm, row.k): row for row in read_csv(run.table("passk"), PasskRow)}


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


def test_paper_figures_stand_beside_their_own_arm_and_k(made):
    rows = _passk(made)
    assert (rows["soar_pq", 8].paper_mean_percent, rows["soar_pq", 8].paper_sd_percent) == (8.5, 3.7)
    assert (rows["soar_ps", 4].paper_mean_percent, rows["soar_ps", 4].paper_sd_percent) == (3.8, 0.6)
    assert rows["base_t", 8].paper_mean_percent is None


def test_arms_stand_in_the_order_of_the_config(made):
    arms = list(dict.fromkeys(row.arm for row in read_csv(made.table("passk"), PasskRow)))
    assert arms == list(made.config.arms)


def test_without_promotion_arms_are_marked_and_empty(silent):
    rows = _passk(silent)
    for arm in ("soar_pq", "soar_ps"):
        assert (rows[arm, 8].status, rows[arm, 8].mean_percent, rows[arm, 8].student_runs) == ("no promotion", None, 0)
    assert (rows["hard_only", 8].status, rows["hard_only", 8].mean_percent) == ("", 12.5)
    vendi = {row.arm: row for row in read_csv(silent.table("vendi"), VendiRow)}
    assert (vendi["soar_pq"].status, vendi["soar_pq"].vendi_mean) == ("no promotion", None)
    assert vendi["base_t"].vendi_mean > 1


def test_sizes(made):
    [row] = read_csv(made.table("sizes"), SizeRow)
    assert (row.dataset, row.pool, row.train, row.test) == (DATASET, 20, 5, TEST_PROBLEMS)
    assert (row.paper_pool, row.paper_train, row.paper_test) == (5000, 359, 360)


def test_vendi_rows_have_their_own_paper_entry(made):
    rows = {row.arm: row for row in read_csv(made.table("vendi"), VendiRow)}
    assert set(rows) == {"soar_pq", "base_t"}
    assert (rows["soar_pq"].paper_vendi, rows["base_t"].paper_vendi) == (28.33, 34.91)
    assert (rows["base_t"].teacher_seeds, rows["base_t"].questions, rows["base_t"].subsample) == (2, 16, 6)
    assert 1 < rows["base_t"].vendi_mean <= 6


def test_soar_runs(made, silent):
    row = read_csv(made.table("runs"), SoarRunRow)[1]
    assert (row.objective, row.teacher_seed, row.outer_steps, row.steps_with_signal) == ("soar", 2, 12, 12)
    assert (row.promotions, row.promotion_questions) == (2, 8)
    assert (row.train_accuracy_start_percent, row.train_accuracy_best_percent) == (0.0, 40.0)
    assert row.seconds == 120.0
    quiet = read_csv(silent.table("runs"), SoarRunRow)[0]
    assert (quiet.steps_with_signal, quiet.promotions, quiet.promotion_questions) == (0, 0, 0)


def test_partly_promoted_arm_says_how_many_runs_are_missing(tmp_path):
    run = MadeRun(made_config(), tmp_path / "partly")
    run.write_inputs()
    silent = MadeRun(made_config(), tmp_path / "silent", promoted=False)
    silent.write_inputs()
    promotions = "soar/soar/t2/promotions.parquet"
    (silent.data / promotions).replace(run.data / promotions)
    run.summarise()
    assert _passk(run)["soar_ps", 1].status == "1 of 2 SOAR runs had no promotion"


def test_paper_row_that_does_not_exist_is_named():
    arms = made_config().model_dump()["arms"]
    arms["hard_only"]["paper"] = "Hard Only"
    with pytest.raises(ConfigError, match=r"arms\.hard_only\.paper: no row 'Hard Only'"):
        read_paper(made_config(arms=arms), sorted(PAPER.glob("*.csv")))


def test_csv_round_trip_keeps_empty_cells_and_types(tmp_path):
    row = SizeRow("a, b", 3, 2, 1, "MATH", None, None, 4)
    write_csv(tmp_path / "sizes.csv", SizeRow, [row])
    assert read_csv(tmp_path / "sizes.csv", SizeRow) == [row]
    with pytest.raises(ArtifactError, match="columns"):
        read_csv(tmp_path / "sizes.csv", VendiRow)
