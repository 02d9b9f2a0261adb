import json
import shutil
import subprocess
from html.parser import HTMLParser

import pytest
from made_run import CAPTIONS, DATASET, HOSTILE, MadeRun, made_config

from soar_pipeline.artifacts import ATTEMPTS, digest
from soar_pipeline.config import DEFAULT_FIGURES as FIGURES
from soar_pipeline.reporting.csv_files import read_csv
from soar_pipeline.reporting.finding import finding, notes
from soar_pipeline.reporting.page import duration
from soar_pipeline.reporting.question_profile import ILL_POSED, RIGHT, difficulty_profile, judge, length_profile
from soar_pipeline.reporting.record import attempt_counts, rule_costs
from soar_pipeline.reporting.tables import PasskRow, SizeRow, SoarRunRow

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
# Every question of a stage is shown, so the hostile ones are on the page whatever the draw.
SHOW_ALL = {"report": {"sample_questions": 1000}}


def _finished(folder, promoted=True):
    run = MadeRun(made_config(**SHOW_ALL), folder, promoted)
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
        "On 4 hard shuffles test problems, pass@8 is 93.8 % for SOAR-PQ (95 % interval 14.3–100.0, 2 teacher × 2 "
        "student seeds) and 68.8 % for SOAR-PS (95 % interval 0.0–100.0, 2 teacher × 2 student seeds), against 12.5 % "
        "for Hard-Only (95 % interval 0.0–100.0, 2 seeds) and 0.0 % for Base model (the same in 2 seeds); 4 promotions "
        "in 2 SOAR runs. SOAR-PQ and SOAR-PS: 95 % interval overlaps that of Hard-Only, so no difference is shown.\n"
    )


def test_no_signal_is_said_plainly(silent):
    text = _Page(_page(silent)).text
    found = (silent.folder / "finding.txt").read_text(encoding="utf-8")
    assert "No promotion in 2 SOAR runs on shuffles: this run shows no SOAR effect." in found
    assert "No outer step had a reward that differed between datasets." in found
    assert "SOAR-PQ" not in found
    assert "teacher seeds 1 and 2: no promotion." in text
    assert text.count("no promotion") >= 2 * len(silent.config.pass_at_k)


def _passk_row(arm, mean, low, high):
    label = made_config().arms[arm].label
    return PasskRow(DATASET, arm, label, 8, mean, 1.0, low, high, "student seeds", 1, 3, "", "", None, None)


@pytest.mark.parametrize(
    ("interval", "said"),
    [
        ((40.0, 60.0), "SOAR-PQ: 95 % interval above that of Hard-Only, without overlap."),
        ((9.0, 91.0), "SOAR-PQ: 95 % interval overlaps that of Hard-Only, so no difference is shown."),
        ((0.0, 4.0), "SOAR-PQ: 95 % interval below that of Hard-Only, without overlap."),
        ((None, None), "SOAR-PQ: too few seeds for an interval, so no claim about the difference to Hard-Only."),
    ],
)
def test_finding_claims_no_more_than_the_intervals(interval, said):
    passk = [_passk_row("soar_pq", 50.0, *interval), _passk_row("hard_only", 7.0, 5.0, 10.0)]
    runs = [SoarRunRow(DATASET, "soar", 1, 9, 9, 1, 4, 0.0, 1.0, 0.1, 0.5, 1.0)]
    sizes = [SizeRow(DATASET, 20, 5, 4, "MATH", None, None, None)]
    found = finding(made_config(), DATASET, passk, sizes, runs)
    assert found.endswith(said)
    assert "1 promotion in 1 SOAR run" in found


def test_notes_name_what_limits_the_figures():
    config = made_config(filter={"keep_all": True})
    lines = notes(config, [_passk_row("soar_pq", 50.0, 40.0, 60.0)], [])
    assert any("one teacher seed for SOAR-PQ" in line for line in lines)
    assert any("filter.keep_all" in line for line in lines)


def test_captions_of_the_page_are_those_of_the_workflow(made):
    page = _Page(_page(made))
    for name in (*FIGURES, "passk", "runs", "vendi"):
        assert (CAPTIONS / f"{name}.rst").read_text(encoding="utf-8").strip() in page.text


def test_page_shows_every_table_of_the_paper_and_says_which_were_run(made):
    text = " ".join(_Page(_page(made)).text.split())
    assert "Table 4: pass@k on MATH, % 5 of 14 rows here" in text
    assert "Table 5: pass@k on HARP, % not run here" in text
    # Ours beside the paper's, and the paper's alone.
    assert "SOAR-PQ soar_pq2 teacher × 2 student seeds 11.7 ± 1.6 1.7 ± 1.0" in text
    assert "HARP train (128) 2.4 ± 1.0" in text


def test_a_label_is_never_markup_in_a_table(tmp_path):
    arms = made_config().model_dump(exclude_unset=True)["arms"]
    arms["base_t"]["label"] = "<b onclick=x>|`Base`"
    run = MadeRun(made_config(arms=arms), tmp_path / "labels")
    run.write_inputs()
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert not page.handlers
    assert arms["base_t"]["label"] in page.text
    assert "<b" not in run.table("table4_math", "md").read_text(encoding="utf-8")


def test_a_heading_of_a_figure_stands_over_it_and_in_its_caption(tmp_path):
    figures = {"figure09": {"kind": "learning_curves", "title": "Full curves", "arms": ["soar_pq", "hard_only"]}}
    run = MadeRun(made_config(figures=figures), tmp_path / "one")
    run.write_inputs()
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert page.tags.count("img") == 1
    caption = (CAPTIONS / "learning_curves.rst").read_text(encoding="utf-8").strip()
    assert f"Full curves. {caption}" in page.text


def test_unscorable_and_truncated_completions_are_counted(made):
    counts = attempt_counts("filter", made.found("attempts/*.parquet"), ATTEMPTS)
    assert (counts.completions, counts.right, counts.timeouts, counts.truncated) == (3, 0, 0, 1)
    # One timeout in each evaluated run: 16 runs.
    text = " ".join(_Page(_page(made)).text.split())
    assert "shuffles: evaluation on test 512 32 0 16 0" in text


def test_seconds_per_rule_come_from_the_benchmark_files(made, tmp_path):
    [cost] = rule_costs(made.folder / "benchmarks")
    assert (cost.rule, cost.jobs, cost.seconds, cost.peak_mb) == ("train_soar", 1, 61.5, 512.0)
    short = tmp_path / "split_hard" / "a.tsv"
    short.parent.mkdir()
    short.write_text("s\tmax_rss\n0.2\t-\n")
    assert rule_costs(tmp_path)[0].peak_mb is None
    assert rule_costs(tmp_path / "absent") == []


@pytest.mark.parametrize(("seconds", "text"), [(8.24, "8.2 s"), (185, "3 min 05 s"), (7800, "2 h 10 min")])
def test_durations_read_well(seconds, text):
    assert duration(seconds) == text


def test_provenance_holds_config_versions_and_digests(made):
    record = json.loads((made.folder / "provenance.json").read_text(encoding="utf-8"))
    table = made.table("passk")
    assert record["config"] == made.config.model_dump(mode="json")
    assert record["inputs"][table.as_posix()] == digest(table)
    assert {"python", "torch", "trl"} <= set(record["versions"])


def test_figures_are_drawn_with_equal_bytes_again(made):
    before = {name: (made.folder / f"figures/{name}.svg").read_bytes() for name in FIGURES}
    made.draw()
    assert {name: (made.folder / f"figures/{name}.svg").read_bytes() for name in FIGURES} == before
    assert all((made.folder / f"figures/{name}.png").read_bytes().startswith(b"\x89PNG") for name in FIGURES)


def test_questions_are_judged_exactly():
    assert (judge("482917aLbR", "482917").verdict, judge("482917aLbR", "482917").difficulty) == (RIGHT, 2)
    assert judge("482917aLbR", "1").verdict == "wrong answer"
    assert judge("what?", "1").verdict == ILL_POSED


def test_difficulty_profile_has_the_share_of_every_class():
    rows = [
        {"outer_step": 1, "question": "482917aL", "answer": "829174"},
        {"outer_step": 1, "question": "482917aLbRcL", "answer": "0"},
        {"outer_step": 1, "question": "?", "answer": "0"},
        {"outer_step": 1, "question": "482917aR", "answer": "748291"},
    ]
    shares = difficulty_profile(rows)[1]
    assert (shares["1–2"], shares["3–4"], shares[ILL_POSED], shares[RIGHT]) == (0.5, 0.25, 0.25, 0.5)
    assert length_profile(rows)[1][1] == 8.0


def test_several_datasets_and_objectives_without_data_still_draw(tmp_path):
    values = made_config().model_dump(mode="json")
    values["datasets"]["words"] = {"adapter": "plain", "path": "words.jsonl"}
    values["objectives"]["intrinsic"] = {"reward": "learnability", "promotion": False}
    run = MadeRun(made_config(**{key: values[key] for key in ("datasets", "objectives")}), tmp_path / "several")
    run.write_inputs()
    for name in ("problems", "train", "test"):
        (run.folder / "words").mkdir(exist_ok=True)
        shutil.copy(run.data / f"{name}.parquet", run.folder / f"words/{name}.parquet")
    run.summarise()
    run.draw()
    page = _Page(run.report())
    assert {row.dataset for row in read_csv(run.table("passk"), PasskRow)} == {DATASET, "words"}
    assert "No headline arm was evaluated on words" in page.text


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
def test_page_opens_in_chromium_and_runs_no_script(made, tmp_path):
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]
    profile = f"--user-data-dir={tmp_path / 'profile'}"
    address = (made.folder / "report.html").as_uri()
    shown = subprocess.run(
        [CHROMIUM, *options, profile, "--dump-dom", address], capture_output=True, text=True, timeout=120, check=True
    )
    dom = _Page(shown.stdout)
    assert (made.folder / "finding.txt").read_text(encoding="utf-8").strip() in dom.text
    assert "script" not in dom.tags
    assert dom.tags.count("img") == len(FIGURES)
    # What the hostile question would have done to the page, had it run.
    assert "<title>owned" not in shown.stdout
    picture = tmp_path / "page.png"
    subprocess.run(
        [CHROMIUM, *options, profile, "--window-size=1200,3000", f"--screenshot={picture}", address],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert picture.stat().st_size > 50_000
