import numpy as np
import pytest
from scipy import stats

from soar_pipeline.evaluation.statistics import summarise, t_interval


def test_spread_is_over_runs_and_interval_over_teacher_means():
    runs = {(1, 1): 0.40, (1, 2): 0.44, (2, 1): 0.50, (2, 2): 0.54, (3, 1): 0.45, (3, 2): 0.49}
    summary = summarise(runs)
    expected = stats.ttest_1samp([0.42, 0.52, 0.47], 0).confidence_interval(0.95)
    assert summary.mean == pytest.approx(0.47)
    assert summary.sd == pytest.approx(np.std(list(runs.values()), ddof=1))
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
    assert summarise({(1, 1): 0.0, (2, 1): 1.0, (2, 2): 1.0, (2, 3): 1.0}).mean == 0.5


def test_one_run_gives_no_spread_and_no_interval():
    summary = summarise({(0, 1): 0.3})
    assert (summary.mean, summary.sd, summary.low, summary.high) == (0.3, None, None, None)
    assert summary.interval_over == ""


def test_interval_stays_within_fractions():
    assert t_interval(np.array([0.0, 1.0])) == (0.0, 1.0)


def test_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(2000):
        teachers = rng.normal(0.5, 0.05, 3)
        runs = {(t, s): rng.normal(teachers[t], 0.03) for t in range(3) for s in range(3)}
        summary = summarise(runs)
        covered += summary.low <= 0.5 <= summary.high
    assert covered / 2000 == pytest.approx(0.95, abs=0.015)


def test_nothing_to_summarise_is_an_error():
    with pytest.raises(ValueError, match="no run"):
        summarise({})
