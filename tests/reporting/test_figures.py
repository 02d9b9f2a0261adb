"""Every kind of figure: the artists carry the made run's values, and a panel without data says so."""

import itertools
import re
from xml.etree import ElementTree

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fake_matrix import EVERY_KIND, MATH, matrix_config, matrix_run
from fake_results import TEST_PROBLEMS
from matplotlib.colors import same_color

from soar_pipeline.artifacts.schemas import CURVE, PROMOTIONS, SOAR_QUESTIONS, SOAR_TAXONOMY, STEP_DIVERSITY, STEPS
from soar_pipeline.config import DEFAULT_FIGURES, ConfigError, SoarRun
from soar_pipeline.evaluation.vendi import embed, mean_pairwise_distance
from soar_pipeline.problems.digit_shuffles import QUESTION_CLASSES
from soar_pipeline.reporting.composition import CLASS_LOOKS, JUDGED, JUDGED_CLASSES, NO_VERDICT, classes, shares
from soar_pipeline.reporting.figures import KINDS, FigureData, draw
from soar_pipeline.reporting.frames import by_soar_run, read_frame
from soar_pipeline.reporting.question_text import printable
from soar_pipeline.reporting.selection import READS, Selection
from soar_pipeline.reporting.style import styles, svg_of
from soar_pipeline.reporting.teacher_figures import title_of
from soar_pipeline.reporting.text_alternative import text_alternative
from soar_pipeline.reporting.theme import IN_THE_DARK, INK


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    made = matrix_run(tmp_path_factory.mktemp("results") / "made")
    made.summarise()
    return made


@pytest.fixture(scope="module")
def data(run):
    return FigureData(
        passk=run.long("passk"),
        vendi=run.long("vendi"),
        curves=read_frame(run.curves(), CURVE),
        steps=read_frame(run.found("soar/*/*/steps.parquet"), STEPS),
        promoted=read_frame(run.found("soar/*/*/promotions.parquet"), PROMOTIONS),
        questions=read_frame(run.found("soar/*/*/questions.parquet"), SOAR_QUESTIONS),
        step_diversity=read_frame([run.folder / "step_diversity.parquet"], STEP_DIVERSITY),
    )


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


def panels(figure):
    """By title."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes}


def drawn(config, name, data):
    return draw(Selection(config, name), data)


def solved(arm, share=1.0):
    """Percent of every run of an arm on MATH, by teacher."""
    return [[100 * share * count / TEST_PROBLEMS for count in students] for students in MATH[arm]]


def flat(arm, share=1.0):
    return list(itertools.chain(*solved(arm, share)))


def texts(axes):
    return [text.get_text() for text in axes.texts]


def line_through(axes, values):
    """The one line with these heights."""
    same_length = [line for line in axes.lines if len(line.get_ydata()) == len(values)]
    found = [line for line in same_length if np.allclose(line.get_ydata(), values, atol=1e-2)]
    assert len(found) == 1, [list(line.get_ydata()) for line in axes.lines]
    return found[0]


def test_learning_curves_are_means_over_runs_with_a_band_of_one_sd(run, data):
    axes = panels(drawn(run.config, "learning_curves", data))["math: pass@8"]
    # The made curves rise from nothing by half the share at step 10 to all of it at step 20.
    final = np.mean(flat("soar_pq"))
    line = line_through(axes, [0, final / 2, final])
    assert list(line.get_xdata()) == [0, 10, 20]
    band = next(band for band in axes.collections if same_color(band.get_facecolor()[0][:3], line.get_color()))
    sd = np.std(flat("soar_pq"), ddof=1)
    heights = {x: [] for x in (0, 10, 20)}
    for x, y in band.get_paths()[0].vertices:
        heights[x].append(y)
    assert (min(heights[20]), max(heights[20])) == pytest.approx((final - sd, min(100, final + sd)))
    # A policy that is not trained is a level; the curriculum ends at step 10.
    level = np.mean(flat("soar_ps"))
    assert any(np.allclose(line.get_ydata(), level) for line in axes.lines)
    assert any(list(line.get_xdata()) == [10, 10] for line in axes.lines)


def test_serl_arms_share_curves_that_end_at_the_step_they_report(run, data):
    axes = panels(drawn(run.config, "learning_curves", data))["math: pass@8"]
    ends = {tuple(line.get_xdata()) for line in axes.lines if np.allclose(np.max(line.get_ydata()), 12.5)}
    assert (0, 10) in ends
    assert (0, 10, 20) in {tuple(line.get_xdata()) for line in axes.lines if np.allclose(np.max(line.get_ydata()), 25)}


def test_every_k_has_a_panel_and_long_rows_wrap(run, data):
    figure = drawn(run.config, "all_k", data)
    assert list(panels(figure)) == ["math: pass@1", "math: pass@4", "math: pass@8"]
    config = matrix_config(
        evaluation={"samples": 32}, figures={"all_k": EVERY_KIND["all_k"] | {"k": [1, 4, 8, 16, 32]}}
    )
    many = drawn(config, "all_k", data)
    assert len({axes.get_position().y0 for axes in many.axes}) == 2
    assert texts(panels(many)["math: pass@32"]) == ["not run"]


def test_seed_curves_have_a_line_per_teacher_on_one_scale(run, data):
    axes = panels(drawn(run.config, "seed_curves", data))
    assert list(axes) == ["math: SOAR-PQ, pass@8", "math: Grounded-T, pass@8"]
    for arm, panel in zip(("soar_pq", "grounded_t"), axes.values(), strict=True):
        for students in solved(arm):
            line_through(panel, np.array([0, 0.5, 1]) * np.mean(students))
        assert line_through(panel, np.array([0, 0.5, 1]) * np.mean(flat("hard_only"))).get_color() == INK
    assert len({panel.get_ylim() for panel in axes.values()}) == 1


def test_a_curve_whose_evaluations_begin_later_begins_as_the_base_model(run, data):
    later = FigureData(passk=data.passk, curves=data.curves[data.curves["step"] > 0])
    base = data.passk.query("dataset == 'other' and arm == 'base' and k == 8")["mean_percent"].item()
    assert base == 12.5
    axes = panels(drawn(run.config, "learning_curves", later))["other: pass@8"]
    [line] = [line for line in axes.lines if line.get_label() == "Hard-Only"]
    assert list(line.get_xdata()) == [0, 10, 20]
    assert line.get_ydata()[0] == base
    # Without an evaluated base model nothing is known of step 0.
    axes = panels(drawn(run.config, "learning_curves", FigureData(curves=later.curves)))["other: pass@8"]
    assert list(axes.lines[0].get_xdata()) == [10, 20]


def test_improvement_is_measured_from_the_baseline_at_every_k(run, data):
    axes = panels(drawn(run.config, "improvement", data))
    ours, papers = axes["math: this run"], axes["paper, table 4 (MATH)"]
    gains = [np.mean(flat("soar_pq", k / 8)) - np.mean(flat("hard_only", k / 8)) for k in (1, 4, 8)]
    points = [container for container in ours.containers if np.allclose(container[0].get_ydata(), gains)]
    [(line, _, (bars,))] = points
    # Bars have the spread of both arms.
    sds = [np.hypot(*(np.std(flat(arm, k / 8), ddof=1) for arm in ("soar_pq", "hard_only"))) for k in (1, 4, 8)]
    assert [np.ptp(segment[:, 1]) / 2 for segment in bars.get_segments()] == pytest.approx(sds, abs=1e-3)
    assert list(line.get_xdata()) == pytest.approx([1, 4, 8], rel=0.4)
    # Table 4: SOAR-PQ 8.5 and Hard-Only 3.2 at k = 8.
    assert any(np.isclose(container[0].get_ydata()[-1], 8.5 - 3.2) for container in papers.containers)
    assert "paper, table 6 (OlympiadBench)" in axes


def test_bars_stand_side_by_side_with_the_papers_means(run, data):
    figure = drawn(run.config, "bars", data)
    axes = panels(figure)["math"]
    heights = {round(bar.get_x() + bar.get_width() / 2, 3): bar.get_height() for bar in axes.patches}
    expected = [np.mean(flat(arm, k / 8)) for k in (1, 8) for arm in ("hard_only", "soar_pq", "pq_correct")]
    assert [heights[place] for place in sorted(heights)] == pytest.approx(expected, abs=1e-3)
    assert [label.get_text() for label in axes.get_xticklabels()] == ["pass@1", "pass@8"]
    diamonds = next(line for line in axes.lines if line.get_marker() == "D")
    assert sorted(diamonds.get_ydata()) == [0.5, 1.7, 3.2, 8.5]
    assert figure.get_suptitle() == "Correct only"
    assert len({(bar.get_facecolor(), bar.get_hatch()) for bar in axes.patches}) == 3


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("size", {4: "grounded_t_4", 8: "grounded_t"}),
        ("tau", {0.01: "grounded_t", 0.02: "strict_t"}),
        ("n", {2: "two_turn", 4: "grounded_t"}),
    ],
)
def test_sweep_places_arms_by_their_setting(run, data, name, points):
    axes = panels(drawn(run.config, name, data))["math: pass@8"]
    line = line_through(axes, [np.mean(flat(arm)) for arm in points.values()])
    assert list(line.get_xdata()) == list(points)
    assert [float(label.get_text()) for label in axes.get_xticklabels()] == list(points)
    assert any(np.allclose(level.get_ydata(), np.mean(flat("hard_only"))) for level in axes.lines)


def test_arms_that_differ_in_more_than_the_swept_value_lie_on_lines_of_their_own(run, data):
    axes = panels(drawn(run.config, "n", data))["math: pass@8"]
    line_through(axes, [np.mean(flat("strict_t"))])


def test_teacher_reward_shows_steps_promotions_and_tau(run, data):
    axes = panels(drawn(run.config, "teacher_reward", data))
    assert list(axes) == ["math: soar (grounded)", "math: strict (grounded)"]
    rows = dict(by_soar_run(data.steps))[SoarRun("math", "strict", 2)]
    dots = [np.asarray(found.get_offsets()) for found in axes["math: strict (grounded)"].collections]
    assert any(np.allclose(found, rows[["outer_step", "mean_reward"]]) for found in dots if len(found) == 12)
    taus = {title: {line.get_ydata()[0] for line in panel.lines if line.get_linestyle() == ":"}
            for title, panel in axes.items()}  # fmt: skip
    assert taus == {"math: soar (grounded)": {0.01}, "math: strict (grounded)": {0.02}}
    stars = [found for found in dots if len(found) == 2]
    assert all(found[:, 0].tolist() == [5, 9] for found in stars)


def _after(line, x):
    """The height of a line of steps just after x."""
    return line.get_ydata()[np.flatnonzero(np.asarray(line.get_xdata()) <= x)[-1]]


def test_baseline_accuracy_rises_by_stages(run, data):
    axes = panels(drawn(run.config, "baseline_accuracy", data))["math: soar (grounded)"]
    levels = [line for line in axes.lines if str(line.get_label()).startswith("baseline student")]
    assert len(levels) == 2
    for line in levels:
        assert [_after(line, x) for x in (1, 5, 6, 9, 10, 12)] == pytest.approx([0, 0, 20, 20, 40, 40])


def test_the_state_after_a_promotion_in_the_last_step_is_drawn(run, data):
    cut = FigureData(steps=data.steps[data.steps["outer_step"] <= 9], promoted=data.promoted)
    for name in ("baseline_accuracy", "teacher_overview"):
        axes = next(one for one in drawn(run.config, name, cut).axes if one.get_ylabel() == "hard train solved, %")
        line = next(line for line in axes.lines if str(line.get_label()).startswith("baseline student"))
        assert line.get_ydata()[-1] == pytest.approx(40)
        assert line.get_xdata()[-1] > 9.5
        assert axes.get_ylim()[1] > 40


def test_the_moving_average_is_a_line_from_the_first_step_of_a_stage(run, data):
    config = matrix_config(
        objectives={
            "soar": {"soar": {"moving_average_window": 3}},
            "strict": {"soar": {"moving_average_window": 3}},
            "two_turn": {"promotion": False},
        }
    )
    few = data.steps.query("outer_step <= 6 and objective == 'soar' and teacher_seed == 1")
    axes = panels(drawn(config, "teacher_reward", FigureData(steps=few)))["math: soar (grounded)"]
    rewards = few["mean_reward"].to_numpy()
    line = line_through(axes, [rewards[max(0, i - 2) : i + 1].mean() for i in range(5)])
    assert list(line.get_xdata()) == [1, 2, 3, 4, 5]


def test_a_threshold_far_from_the_rewards_does_not_squeeze_them(run, data):
    thresholds = {name: {"soar": {"promotion_threshold": -1}} for name in ("soar", "strict", "two_turn")}
    config = matrix_config(objectives=thresholds, figures={"one": {"kind": "teacher_reward", "objectives": ["soar"]}})
    axes = panels(drawn(config, "one", data))["math: soar (grounded)"]
    assert axes.get_ylim()[0] > -0.5
    assert not [line for line in axes.lines if line.get_linestyle() == ":"]


def test_composition_fills_every_step_and_marks_promotions(run, data):
    axes = panels(drawn(run.config, "question_composition", data))["math: soar (grounded)"]
    tops = {}
    for bar in axes.patches:
        step = round(bar.get_x() + bar.get_width() / 2)
        tops[step] = tops.get(step, 0) + bar.get_height()
    assert tops == pytest.approx(dict.fromkeys(range(1, 13), 100.0))
    [stars] = [one for one in axes.collections if one.get_label() == "promotion"]
    assert np.asarray(stars.get_offsets())[:, 0].tolist() == [5, 9]
    # The hostile question of a step is no question.
    rows = data.questions.query("dataset == 'math' and objective == 'soar' and outer_step == 3")
    kinds = classes(run.config, "math", rows, read_frame([], SOAR_TAXONOMY))
    malformed = [bar for group in axes.containers if group.get_label() == "malformed" for bar in group]
    assert malformed[2].get_height() == pytest.approx(100 * (kinds == "malformed").mean())


def test_composition_of_a_real_data_set_is_what_a_judge_says(run, data):
    config = matrix_config().model_copy(deep=True)
    config.datasets["math"] = config.datasets["math"].model_copy(update={"adapter": "math"})
    rows = data.questions.query("dataset == 'math' and objective == 'soar' and teacher_seed == 1 and outer_step == 1")
    assert classes(config, "math", rows, read_frame([], SOAR_TAXONOMY)) is None
    said = ["none", "none", "arithmetic", "logical_fallacy", "ambiguous", "ill_posed", None]
    verdicts = rows.head(len(said)).assign(error_type=said)
    kinds = classes(config, "math", rows, verdicts)
    # The eighth question was not judged, and counts for nothing.
    [profile] = shares(kinds, rows["outer_step"]).to_dict("records")
    assert {name: round(7 * share) for name, share in profile.items()} == {
        "correct": 2, "wrong": 2, "ambiguous": 1, "ill posed": 1, NO_VERDICT: 1,
    }  # fmt: skip
    figure = drawn(config, "question_composition", FigureData(steps=data.steps, questions=rows, verdicts=verdicts))
    axes = panels(figure)
    assert {one.get_label() for one in axes["math: soar (grounded)"].containers} == set(JUDGED_CLASSES)
    assert texts(axes["math: strict (grounded)"]) == ["no judge was asked about these questions"]
    assert {*QUESTION_CLASSES, *JUDGED.values(), NO_VERDICT} <= set(CLASS_LOOKS)


def test_the_overview_puts_a_grounded_teacher_beside_an_intrinsic_one(run, data):
    objectives = {"grounded": {}, "strict": {}, "r_zero": {"reward": "r_zero", "promotion": False},
                  "intrinsic": {"reward": "learnability", "promotion": False}}  # fmt: skip
    arms = {name: {"label": name, "questions": {"source": "teacher", "objective": name}} for name in objectives}
    config = matrix_config(
        objectives=objectives, arms={"hard_only": {"label": "Hard-Only"}, **arms}, taxonomy={},
        report={"headline_arms": []}, figures={"one": {"kind": "teacher_overview"}},
    )  # fmt: skip
    assert Selection(config, "one").objectives == ["grounded", "intrinsic"]
    assert title_of(Selection(config, "one"), "math", "grounded") == "math: grounded"
    assert title_of(Selection(config, "one"), "math", "intrinsic") == "math: intrinsic (learnability)"


def test_the_overview_quotes_questions_with_class_and_reward(run, data):
    strip = drawn(run.config, "teacher_overview", data).axes[6]
    assert strip.get_title(loc="left") == "sampled questions, teacher seed 1 (not selected)"
    asked = data.questions.query("dataset == 'math' and objective == 'soar' and teacher_seed == 1")
    lines = [texts(strip)[i : i + 4] for i in range(0, len(texts(strip)), 4)]
    assert len(lines) == 8
    for step, text, reward, kind in lines:
        rows = asked[asked["outer_step"] == int(step.split()[1])]
        question, _, answer = text.partition(" → ")
        [row] = rows[(rows["question"] == question) & (rows["answer"] == answer)].head(1).itertuples()
        assert float(reward.replace("−", "-")) == row.dataset_reward
        assert kind == classes(run.config, "math", rows, read_frame([], SOAR_TAXONOMY))[row.Index]


def test_figures_say_in_words_what_they_show(run, data):
    words = text_alternative(drawn(run.config, "baseline_accuracy", data))
    assert "math: soar (grounded) — hard train solved, % by outer step: baseline student, teacher seed 1: 0 at" in words
    words = text_alternative(drawn(run.config, "learning_curves", data))
    assert f"SOAR-PQ: 0 at 0 to {np.mean(flat('soar_pq')):.3g} at 20" in words
    words = text_alternative(drawn(run.config, "question_composition", data))
    assert "promotion: at 5, 9" in words
    assert "no SOAR run" in text_alternative(drawn(run.config, "teacher_reward", FigureData()))
    assert text_alternative(drawn(run.config, "bars", data)).startswith("Correct only. math")


@pytest.mark.parametrize("name", EVERY_KIND)
def test_every_colour_of_a_figure_has_another_in_the_dark(run, data, name):
    svg = svg_of(drawn(run.config, name, data), name)
    used = set(re.findall(r"(?:fill|stroke)\W+(#[0-9a-f]{6})", svg.partition("</style>")[2]))
    assert used
    assert used <= set(IN_THE_DARK)
    assert svg.count("prefers-color-scheme: dark") == 1
    # matplotlib leaves black out, which then could not be told again.
    assert "#000000" not in svg


def test_question_difficulty_shares_fill_every_step(run, data):
    axes = panels(drawn(run.config, "question_difficulty", data))["math: two_turn (grounded)"]
    tops = {}
    for bar in axes.patches:
        step = round(bar.get_x() + bar.get_width() / 2)
        tops[step] = tops.get(step, 0) + bar.get_height()
    assert tops == pytest.approx(dict.fromkeys(range(1, 13), 100.0))


def test_question_evolution_quotes_questions_of_every_stage(run, data):
    [axes] = drawn(run.config, "question_evolution", data).axes
    lines = texts(axes)
    headings = [line for line in lines if not line.startswith("step")]
    assert headings == [
        "before any promotion, from step 1: baseline student solves 0.0 % of train",
        "after promotion 1, from step 6: baseline student solves 20.0 % of train",
        "after promotion 2, from step 10: baseline student solves 40.0 % of train",
    ]
    rows = dict(by_soar_run(data.questions))[SoarRun("math", "soar", 1)]
    asked = {(str(step), *texts) for step, *texts in rows[["outer_step", "question", "answer"]].itertuples(index=False)}
    quoted = [line.split(maxsplit=2)[1:] for line in lines if line.startswith("step")]
    assert len(quoted) == 9
    for step, text in quoted:
        question, _, answer = text.partition(" → ")
        assert (step, question, answer.split()[0]) in asked


@pytest.mark.parametrize(
    "text",
    ["a $\\frac{1$ b", "two\nlines\t\x00", "漢字 and 😀", "x" * 3000, "--><script>alert(1)</script>", "", "50% & #1"],
)
def test_question_evolution_draws_whatever_a_model_wrote(run, data, text, tmp_path, recwarn):
    questions = data.questions.assign(question=text, answer=text)
    figure = drawn(run.config, "question_evolution", FigureData(steps=data.steps, questions=questions))
    figure.savefig(tmp_path / "text.svg")
    assert not [one for one in recwarn if "Glyph" in str(one.message)]
    assert not [tag for tag in ElementTree.parse(tmp_path / "text.svg").iter() if "script" in str(tag.tag)]
    assert all(len(line) <= 138 and "\n" not in line for line in texts(figure.axes[0]))


def test_what_the_font_lacks_is_replaced():
    assert printable("α ≤ β\n漢") == "α ≤ β �"


def test_diversity_shows_training_and_scores(run, data):
    axes = panels(drawn(run.config, "diversity", data))
    assert list(axes) == ["math: during training", "math: final questions", "olympiad: during training",
                          "olympiad: final questions"]  # fmt: skip
    runs = [rows for soar_run, rows in by_soar_run(data.step_diversity) if soar_run.dataset == "math"]
    assert [list(line.get_ydata()) for line in axes["math: during training"].lines] == [
        list(rows["diversity"]) for rows in runs
    ]
    # That of the completions of one step, by the configured embedder.
    first = data.questions[(data.questions["dataset"] == "math") & (data.questions["outer_step"] == 3)]
    [(_, texts_of_run), *_] = by_soar_run(first)
    distance = mean_pairwise_distance(embed(list(texts_of_run["completion"]), "character_ngrams"))
    assert runs[0].set_index("outer_step").loc[3, ["completions", "diversity"]].tolist() == [
        len(texts_of_run),
        pytest.approx(distance),
    ]
    scores = data.vendi.loc[data.vendi["dataset"] == "math", "vendi_mean"]
    assert list(axes["math: final questions"].lines[0].get_xdata()) == pytest.approx(list(scores))
    assert texts(axes["olympiad: during training"]) == ["no SOAR run"]


@pytest.mark.parametrize("name", EVERY_KIND)
def test_without_data_every_panel_says_so(run, name):
    figure = drawn(run.config, name, FigureData())
    assert figure.axes
    for axes in figure.axes:
        assert any("no " in text or "not run" in text for text in texts(axes)), axes.get_title(loc="left")
        assert not axes.containers


@pytest.mark.parametrize("name", EVERY_KIND)
def test_with_a_part_of_the_data_the_rest_says_so(run, data, name):
    partial = FigureData(
        passk=data.passk[data.passk["dataset"] == "olympiad"],
        vendi=data.vendi[data.vendi["arm"] == "soar_pq"],
        curves=data.curves[data.curves["dataset"] == "olympiad"],
        steps=data.steps[data.steps["objective"] == "soar"],
        questions=data.questions[data.questions["objective"] == "soar"],
    )
    for axes in drawn(run.config, name, partial).axes:
        empty = any("no " in text or "not run" in text for text in texts(axes) if "step" not in text)
        assert empty or axes.lines or axes.patches or axes.collections or axes.texts


def test_configuration_without_soar_runs_draws_every_default_figure():
    config = matrix_config(
        arms={"hard_only": {"label": "Hard-Only"}}, objectives={}, taxonomy={}, report={"headline_arms": []},
        figures={name: {"kind": name} for name in KINDS if name != "sweep"},
    )  # fmt: skip
    for name in config.figures:
        assert drawn(config, name, FigureData()).axes


def test_figures_are_drawn_with_equal_bytes_again(run):
    run.draw()
    files = [run.figure(name, kind) for name in EVERY_KIND for kind in ("svg", "png")]
    before = [file.read_bytes() for file in files]
    run.draw()
    assert [file.read_bytes() for file in files] == before


def test_arms_of_a_figure_differ_in_more_than_colour():
    looks = list(styles(map(str, range(6))).values())
    assert len({look.color for look in looks}) == 6
    for one, other in itertools.pairwise(looks):
        assert (one.linestyle, one.marker, one.hatch) != (other.linestyle, other.marker, other.hatch)
    every = list(styles(map(str, range(42))).values())
    assert len(set(every)) == 42


def test_every_kind_has_a_drawing_its_files_and_a_caption(project):
    assert set(KINDS) == set(READS)
    assert {settings["kind"] for settings in EVERY_KIND.values()} == set(KINDS)
    assert all((project / "workflow" / "report" / f"{kind}.rst").read_text(encoding="utf-8") for kind in KINDS)
    assert set(DEFAULT_FIGURES) <= set(KINDS)


def test_what_is_left_open_is_what_the_run_has():
    config = matrix_config()
    assert Selection(config, "learning_curves").datasets == ["math", "olympiad", "other"]
    assert Selection(config, "size").datasets == ["math"]
    assert Selection(config, "baseline_accuracy").datasets == ["math"]
    assert Selection(config, "baseline_accuracy").objectives == ["soar", "strict", "two_turn"]
    assert list(Selection(config, "bars").arms_on("olympiad")) == ["hard_only"]
    # In the order of the figure, not of the run.
    figures = {"bars": {"kind": "bars", "arms": ["soar_pq", "hard_only"]}}
    assert list(Selection(matrix_config(figures=figures), "bars").arms) == ["soar_pq", "hard_only"]


@pytest.mark.parametrize(
    ("figure", "message"),
    [
        ({"kind": "pie"}, r"figures\.one\.kind"),
        ({"kind": "bars", "arms": ["soar_qp"]}, r"figures\.one\.arms: 'soar_qp' is not in `arms`"),
        ({"kind": "bars", "datasets": ["maths"]}, r"figures\.one\.datasets: 'maths'"),
        ({"kind": "bars", "k": [16]}, r"figures\.one\.k: \[16\] cannot be estimated from 8 samples"),
        ({"kind": "sweep"}, "`against` belongs to kind sweep"),
        ({"kind": "bars", "against": "n"}, "`against` belongs to kind sweep"),
        ({"kind": "sweep", "against": "size", "arms": ["soar_pq"]}, "'soar_pq' has no size"),
        ({"kind": "sweep", "against": "tau", "arms": ["real"]}, "'real' has no tau"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_by_name(figure, message):
    with pytest.raises(ConfigError, match=message):
        matrix_config(figures={"one": figure})
