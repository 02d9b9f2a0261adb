import json
import re
import shutil
from html.parser import HTMLParser

import pandas as pd
import pytest
from fake_results import CAPTIONS, DATASET, HOSTILE, JUDGED, VERDICTS, FakeResults, fake_config

from soar_pipeline.artifacts.provenance import digest
from soar_pipeline.artifacts.schemas import ATTEMPTS
from soar_pipeline.config import DEFAULT_FIGURES as FIGURES
from soar_pipeline.reporting.distrust import checks, remarks
from soar_pipeline.reporting.durations import duration
from soar_pipeline.reporting.finding import finding
from soar_pipeline.reporting.frames import rows
from soar_pipeline.reporting.long_tables import COLUMNS, PASSK, RUNS, SIZES, Tables, with_columns
from soar_pipeline.reporting.question_profile import (
    AMBIGUOUS,
    ILL_POSED,
    RIGHT,
    Judgement,
    difficulty_profile,
    judge,
    length_profile,
)
from soar_pipeline.reporting.record import attempt_counts, rule_costs

# Every question of a stage is shown, so the hostile ones are on the page whatever the draw.
SHOW_ALL = {"report": {"sample_questions": 1000}}


def _finished(folder, promoted=True):
    run = FakeResults(fake_config(**SHOW_ALL), folder, promoted)
    run.write_inputs()
    run.summarise()
    run.draw()
    run.report()
    return run


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return _finished(tmp_path_factory.mktemp("results") / "made")


@pytest.fixture(scope="module")
def silent(tmp_path_factory):
    return _finished(tmp_path_factory.mktemp("results") / "silent", promoted=False)


class _Page(HTMLParser):
    """Tags, addresses and text of a page."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.addresses, self.handlers, self.text = [], [], [], ""
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "srcset", "data", "action")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        self.text += " " if tag in ("td", "th") else ""

    def handle_data(self, data):
        self.text += data


def _page(run):
    return (run.folder / "report.html").read_text(encoding="utf-8")


def test_page_refers_to_nothing_outside_itself(made):
    html = _page(made)
    page = _Page(html)
    assert page.addresses
    assert all(address.startswith(("#", "data:image/svg+xml;base64,")) for address in page.addresses)
    assert not {"script", "link", "iframe", "object", "base"} & set(page.tags)
    assert "@import" not in html
    assert "url(" not in html


def test_model_text_is_shown_but_never_markup(made):
    page = _Page(_page(made))
    for hostile in HOSTILE:
        assert hostile in page.text
    assert not page.handlers
    assert page.tags.count("img") == len(FIGURES)


def test_finding_on_the_page_is_the_one_written_and_printed(made, capsys):
    made.report()
    found = (made.folder / "finding.txt").read_text(encoding="utf-8").strip()
    assert capsys.readouterr().out.strip() == found
    assert found in _Page(_page(made)).text


def test_finding_states_figures_intervals_and_seeds(made):
    assert (made.folder / "finding.txt").read_text(encoding="utf-8") == (
        "SOAR-PQ solves 93.8 % of 4 hard shuffles test problems in 8 samples (95 % interval 14.3–100.0 over 2 "
        "teachers) and SOAR-PS 68.8 % (95 % interval 0.0–100.0 over 2 teachers), against Hard-Only 12.5 % (95 % "
        "interval 0.0–100.0 over 2 students) and Base model 0.0 % (the same in 2 students). For SOAR-PQ and SOAR-PS, "
        "the interval overlaps that of Hard-Only, so no difference is shown.\n"
    )


def test_a_judges_verdicts_stand_with_their_difference_to_the_untrained_teacher(tmp_path, made):
    run = FakeResults(fake_config(taxonomy=JUDGED, figures={}), tmp_path / "judged", verdicts=VERDICTS)
    run.write_inputs()
    run.summarise()
    text = re.sub(r"\s+", " ", _Page(run.report()).text)
    caption = (CAPTIONS / "question_shares.rst").read_text(encoding="utf-8").strip()
    assert caption in text and caption not in _Page(_page(made)).text
    # By hand: 87.5 and 37.5 are means of two shares, and Welch's interval is cut off at 100 points.
    assert "Questions of teachers well posed, %" in text
    assert "SOAR-PQ 2 87.5 ± 17.7 +50.0 (−26.1 to +100.0)" in text
    assert "Base-T 2 37.5 ± 17.7 37.5 ± 17.7 0.0" in text


def test_no_signal_is_said_plainly(silent):
    text = _Page(_page(silent)).text
    found = (silent.folder / "finding.txt").read_text(encoding="utf-8")
    assert "No promotion in 2 SOAR runs on shuffles: this run shows no SOAR effect." in found
    assert "No outer step had a reward that differed between datasets." in found
    assert "SOAR-PQ" not in found
    assert "teacher seeds 1 and 2: no promotion." in text
    assert text.count("no promotion") >= 2 * len(silent.config.pass_at_k)


def _passk_row(arm, mean, low, high):
    label = fake_config().arms[arm].label
    return DATASET, arm, label, 8, mean, 1.0, low, high, "student seeds", 1, 3, "", *[None] * 4, "", None, None


def _tables(**made):
    return Tables(**{name: _table(columns) for name, columns in COLUMNS.items()} | made)


def _table(columns, *values):
    return with_columns(pd.DataFrame(list(values), columns=list(columns)), columns)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((40.0, 60.0), "For SOAR-PQ, the interval lies above that of Hard-Only, without overlap."),
        ((9.0, 91.0), "For SOAR-PQ, the interval overlaps that of Hard-Only, so no difference is shown."),
        ((0.0, 4.0), "For SOAR-PQ, the interval lies below that of Hard-Only, without overlap."),
        (
            (None, None),
            "For SOAR-PQ, there are too few seeds for an interval, so nothing is claimed about the difference to "
            "Hard-Only.",
        ),
    ],
)
def test_finding_claims_no_more_than_the_intervals(interval, said):
    passk = _table(PASSK, _passk_row("soar_pq", 50.0, *interval), _passk_row("hard_only", 7.0, 5.0, 10.0))
    runs = _table(RUNS, (DATASET, "soar", 1, 9, 9, 1, 4, 0.0, 1.0, 0.1, 0.5, 1.0))
    sizes = _table(SIZES, (DATASET, 20, 5, 4, "MATH", None, None, None))
    found = finding(fake_config(), DATASET, _tables(passk=passk, sizes=sizes, runs=runs))
    assert found.endswith(said)
    assert len(re.findall(r"\.(?: |$)", found)) == 2


def test_remarks_name_what_the_intervals_leave_out():
    lines = remarks(fake_config(), _table(PASSK, _passk_row("soar_pq", 50.0, 40.0, 60.0)))
    assert any("one teacher seed for SOAR-PQ" in line for line in lines)


def _checks(tables, passk=(), files=(), **changes):
    config, columns = fake_config(**changes), ["dataset", "arm", "teacher_seed", "k", "value"]
    audit, counts = pd.DataFrame({"dataset": []}), {"evaluation": attempt_counts([], ATTEMPTS)}
    found = checks(config, tables, pd.DataFrame(list(passk), columns=columns), audit, counts, files)
    return {check.name: check.found for check in found}


def test_every_check_is_shown_and_says_what_it_found():
    runs = _table(
        RUNS,
        (DATASET, "soar", 1, 9, 9, 1, 4, 0.0, 1.0, 0.1, 0.5, 1.0),
        (DATASET, "soar", 2, 9, 4, 0, 0, 0.0, 0.0, 0.0, 0.5, 1.0),
        (DATASET, "soar", 3, 9, 0, 0, 0, 0.0, 0.0, 0.0, 0.5, 1.0),
    )
    # Teacher 1's student solves nothing, in either evaluation; teacher 2's something, in one.
    passk = [(DATASET, "soar_ps", teacher, 8, value) for teacher, value in ((1, 0), (1, 0), (2, 0), (2, 0.25))]
    found = _checks(_tables(runs=runs), passk, ["train.parquet was edited"], filter={"keep_all": True})
    assert found["Outer steps without a signal"] == [
        "shuffles, soar, teacher seed 2: in 5 of 9 outer steps no reward differed between datasets.",
        "shuffles, soar, teacher seed 3: no outer step had a reward that differed between datasets, so the teacher had "
        "no signal.",
    ]
    assert found["SOAR runs without a promotion"] == ["shuffles, soar, teacher seeds 2 and 3: no promotion."]
    assert found["Promoted students that solve nothing"] == [
        "shuffles, SOAR-PS, teacher seed 1: solves none of the test problems."
    ]
    assert found["Files that this run did not make as they are"] == ["train.parquet was edited"]
    assert "filter.keep_all" in found["Problems that the filter did not find hard"][0]
    assert not any(_checks(_tables()).values())


def test_captions_of_the_page_are_those_of_the_workflow(made):
    page = _Page(_page(made))
    for name in (*FIGURES, "passk", "differences", "checkpoints", "runs", "vendi"):
        assert (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").strip() in page.text


def test_page_shows_every_table_of_the_paper_and_says_which_were_run(made):
    text = " ".join(_Page(_page(made)).text.split())
    assert "Table 4: pass@k on MATH, % 5 of 14 rows here" in text
    assert "Table 5: pass@k on HARP, % not run here" in text
    # Ours beside the paper's, and the paper's alone.
    assert "SOAR-PQ soar_pq2 teacher × 2 student seeds 11.7 ± 1.6 1.7 ± 1.0" in text
    assert "HARP train (128) 2.4 ± 1.0" in text


def test_page_shows_differences_counts_and_reported_steps(made):
    text = " ".join(_Page(_page(made)).text.split())
    assert re.search(r"Base-T 18\.8 ± 29\.8 [−\d.]+ to [\d.]+ 2 of 4 7 to 93", text)
    assert "SOAR-PQ, teacher seed 1, student seed 2 fixed 20 – 1 75.0 –" in text


def test_a_label_is_never_markup_in_a_table(tmp_path):
    arms = fake_config().model_dump(exclude_unset=True)["arms"]
    arms["base_t"]["label"] = "<b onclick=x>|`Base`"
    run = FakeResults(fake_config(arms=arms), tmp_path / "labels")
    run.write_inputs()
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert not page.handlers
    assert arms["base_t"]["label"] in page.text
    assert "<b" not in run.table("table4_math", "md").read_text(encoding="utf-8")


def test_a_heading_of_a_figure_stands_over_it_and_in_its_caption(tmp_path):
    figures = {"figure09": {"kind": "learning_curves", "title": "Full curves", "arms": ["soar_pq", "hard_only"]}}
    run = FakeResults(fake_config(figures=figures), tmp_path / "one")
    run.write_inputs()
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert page.tags.count("img") == 1
    caption = (CAPTIONS / "learning_curves.rst").read_text(encoding="utf-8").strip()
    assert f"Full curves. {caption}" in page.text


def test_unscorable_and_truncated_completions_are_counted(made):
    counts = attempt_counts(made.found("attempts/*.parquet"), ATTEMPTS).loc[DATASET].to_dict()
    assert counts == {"right": 0, "wrong": 3, "no_box": 0, "timeout": 0, "truncated": 1}
    # One timeout in each evaluated run: 16 runs.
    text = " ".join(_Page(_page(made)).text.split())
    assert "shuffles: evaluation on test 512 32 0 16 0" in text


def test_seconds_per_rule_come_from_what_jobs_measured(made, tmp_path):
    [cost] = rows(rule_costs(made.folder / "benchmarks"))
    assert (cost.rule, cost.jobs, cost.seconds, cost.peak_mb) == ("train_soar", 1, 61.5, 512.0)
    assert rule_costs(tmp_path / "absent").empty


@pytest.mark.parametrize(("seconds", "text"), [(8.24, "8.2 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_provenance_holds_config_versions_and_digests(made):
    record = json.loads((made.folder / "provenance.json").read_text(encoding="utf-8"))
    table = made.table("passk")
    assert record["config"] == made.config.model_dump(mode="json")
    assert record["inputs"][table.as_posix()] == digest(table)
    assert {"python", "torch", "trl"} <= set(record["versions"])


def test_questions_are_judged_exactly():
    assert (judge("482917aLbR", "482917").verdict, judge("482917aLbR", "482917").difficulty) == (RIGHT, 2)
    assert judge("482917aLbR", "1").verdict == "wrong answer"
    assert judge("what?", "1").verdict == ILL_POSED
    assert judge("482917aL", "1") != judge("482917a?", "829174") == Judgement(AMBIGUOUS, None)


def test_difficulty_profile_has_the_share_of_every_class():
    texts = [("482917aL", "829174"), ("482917aLbRcL", "0"), ("?", "0"), ("482917aR", "748291")]
    questions = pd.DataFrame(texts, columns=["question", "answer"]).assign(outer_step=1)
    shares = difficulty_profile(questions).loc[1]
    assert (shares["1–2"], shares["3–4"], shares[ILL_POSED], shares[RIGHT]) == (0.5, 0.25, 0.25, 0.5)
    assert length_profile(questions).loc[1, 0.5] == 8.0


def test_several_datasets_and_objectives_without_data_still_draw(tmp_path):
    values = fake_config().model_dump(mode="json")
    values["datasets"]["words"] = {"adapter": "plain", "path": "words.jsonl"}
    values["objectives"]["intrinsic"] = {"reward": "learnability", "promotion": False}
    run = FakeResults(fake_config(**{key: values[key] for key in ("datasets", "objectives")}), tmp_path / "several")
    run.write_inputs()
    for name in ("problems", "train", "test"):
        (run.folder / "words").mkdir(exist_ok=True)
        shutil.copy(run.data / f"{name}.parquet", run.folder / f"words/{name}.parquet")
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert {row.dataset for row in run.rows("passk")} == {DATASET, "words"}
    assert "No headline arm was evaluated on words" in page.text


def test_disputed_golds_are_counted_beside_the_hard_set_and_told_of(made):
    page = _Page(_page(made))
    sizes = rows(pd.read_csv(made.folder / "tables" / "sizes.csv"))[0]
    assert f"{DATASET} {sizes.pool} {sizes.train} {sizes.test} 1 " in " ".join(page.text.split()) + " "
    assert (
        f"{DATASET}: A second opinion disputes the golds of 1 of {sizes.train + sizes.test} hard problems. 1: many "
        "completions agree on a value that a looser comparison takes for the gold. They are kept"
    ) in page.text
