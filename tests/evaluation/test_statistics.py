import numpy as np
import pandas as pd
import pytest
from scipy import stats

from soar_pipeline.evaluation.statistics import differences, exact_interval
from soar_pipeline.evaluation.statistics import summarise as summarise_by

SEEDS = ["teacher_seed", "student_seed"]


def summarise(runs):
    """Of one metric by (teacher seed, student seed)."""
    frame = pd.DataFrame([(*seeds, value) for seeds, value in runs.items()], columns=[*SEEDS, "value"])
    return summarise_by(frame.assign(arm="one"), by=["arm"]).loc["one"]


def test_spread_is_over_runs_and_interval_over_teacher_means():
    runs = {(1, 1): 0.40, (1, 2): 0.44, (2, 1): 0.50, (2, 2): 0.54, (3, 1): 0.45, (3, 2): 0.49}
    summary = summarise(runs)
    expected = stats.ttest_1samp([0.42, 0.52, 0.47], 0).confidence_interval(0.95)
    assert summary["mean"] == pytest.approx(0.47)
    assert summary["sd"] == pytest.approx(np.std(list(runs.values()), ddof=1))
    assert (summary.low, summary.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert (summary.interval_over, summary.teacher_seeds, summary.runs) == ("teacher seeds", 3, 6)


def test_students_of_one_teacher_do_not_narrow_the_interval():
    few = summarise({(t, s): 0.2 + 0.1 * t for t in (1, 2, 3) for s in (1,)})
    many = summarise({(t, s): 0.2 + 0.1 * t for t in (1, 2, 3) for s in range(50)})
    assert (few.low, few.high) == (pytest.approx(many.low), pytest.approx(many.high))


def test_one_teacher_gives_an_interval_over_student_seeds():
    summary = summarise({(1, 1): 0.5, (1, 2): 0.6, (1, 3): 0.7})
    expected = stats.ttest_1samp([0.5, 0.6, 0.7], 0).confidence_interval(0.95)
    assert (summary.low, summary.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert summary.interval_over == "student seeds"


def test_teachers_weigh_alike_whatever_their_number_of_students():
    assert summarise({(1, 1): 0.0, (2, 1): 1.0, (2, 2): 1.0, (2, 3): 1.0})["mean"] == 0.5


def test_one_run_gives_no_spread_and_no_interval():
    summary = summarise({(0, 1): 0.3})
    assert summary["mean"] == 0.3
    assert summary[["sd", "low", "high"]].isna().all()
    assert summary.interval_over == ""


def test_interval_stays_within_fractions():
    summary = summarise({(0, 1): 0.0, (0, 2): 1.0})
    assert (summary.low, summary.high) == (0.0, 1.0)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    grid = pd.MultiIndex.from_product([range(2000), range(3), range(3)], names=["trial", *SEEDS]).to_frame(index=False)
    teachers = rng.normal(0.5, 0.05, (2000, 3))
    grid["value"] = rng.normal(teachers[grid["trial"], grid["teacher_seed"]], 0.03)
    summaries = summarise_by(grid, by=["trial"])
    covered = (summaries["low"] <= 0.5) & (summaries["high"] >= 0.5)
    assert covered.mean() == pytest.approx(0.95, abs=0.015)


def test_groups_are_summarised_apart_and_nothing_gives_no_row():
    values = [("a", 0, 1, 0.0), ("a", 0, 2, 0.5), ("b", 0, 1, 1.0)]
    runs = pd.DataFrame(values, columns=["arm", *SEEDS, "value"])
    assert summarise_by(runs, by=["arm"])["mean"].to_dict() == {"a": 0.25, "b": 1.0}
    assert summarise_by(runs[:0], by=["arm"]).empty


def difference(arm, baseline):
    one, other = (summarise(runs).to_frame().T.infer_objects() for runs in (arm, baseline))
    return differences(one, other).loc["one"]


def test_a_difference_has_both_spreads_and_welchs_interval():
    arm, baseline = [0.5, 0.6, 0.4, 0.7], [0.1, 0.15, 0.2]
    found = difference(*({(0, seed): value for seed, value in enumerate(values)} for values in (arm, baseline)))
    expected = stats.ttest_ind(arm, baseline, equal_var=False).confidence_interval(0.95)
    assert found["difference"] == pytest.approx(0.4)
    assert found["sd"] == pytest.approx(np.hypot(np.std(arm, ddof=1), np.std(baseline, ddof=1)))
    assert (found["low"], found["high"]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_the_interval_of_a_difference_is_over_teachers_if_there_are_several():
    baseline = {(0, 1): 0.1, (0, 2): 0.2, (0, 3): 0.15}
    few = difference({(t, 1): 0.3 + 0.1 * t for t in (1, 2, 3)}, baseline)
    many = difference({(t, s): 0.3 + 0.1 * t for t in (1, 2, 3) for s in range(50)}, baseline)
    assert (few["low"], few["high"]) == (pytest.approx(many["low"]), pytest.approx(many["high"]))


def test_a_difference_of_single_runs_has_no_interval_and_one_without_spread_has_no_width():
    single = difference({(0, 1): 0.5}, {(0, 1): 0.1, (0, 2): 0.2})
    assert single["difference"] == pytest.approx(0.35)
    assert single[["sd", "low", "high"]].isna().all()
    equal = difference({(0, 1): 0.5, (0, 2): 0.5}, {(0, 1): 0.0, (0, 2): 0.0})
    assert (equal["low"], equal["high"]) == (0.5, 0.5)


@pytest.mark.parametrize(("successes", "trials"), [(0, 3), (1, 3), (2, 3), (3, 3), (5, 9), (0, 1)])
def test_the_interval_of_a_count_is_exact(successes, trials):
    low, high = exact_interval(pd.Series([successes]), pd.Series([trials]))
    expected = stats.binomtest(successes, trials).proportion_ci(0.95, method="exact")
    assert (low[0], high[0]) == (pytest.approx(expected.low), pytest.approx(expected.high))


def test_no_trial_has_no_interval():
    low, high = exact_interval(pd.Series([0]), pd.Series([0]))
    assert np.isnan(low[0]) and np.isnan(high[0])
