"""The report as a reader sees it, in a browser at a desk's and a telephone's width, in light and dark."""

import html
import json
import re
import shutil
import subprocess

import matplotlib.image
import numpy as np
import pytest
from fake_matrix import matrix_run
from fake_results import HOSTILE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on PATH")
OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")
WIDTHS = (1280, 390)
# Of the page in a frame of a given width. A box is seen whole if it is within its frame, or within a box that scrolls.
MEASURE = """
const frame = document.querySelector('iframe'), page = frame.contentDocument, view = page.documentElement;
const out = (box, edge) => box.left < edge.left - 0.5 || box.right > edge.right + 0.5;
const text = one => one.innerText.trim().replace(/\\s+/g, ' ').slice(0, 60);
const found = {wide: view.scrollWidth - view.clientWidth, cut: [], markers: [], pictures: [], hidden: [], alone: []};
for (const one of page.querySelectorAll('.plot')) {
  const column = (one.closest('td, .line') || one).getBoundingClientRect();
  for (const mark of one.querySelectorAll('b, i, u')) {
    if (out(mark.getBoundingClientRect(), column)) found.markers.push(one.getAttribute('aria-label'));
  }
}
for (const one of page.querySelectorAll('td, th, p, li, dd, summary, figcaption, .name, .value')) {
  if (!one.offsetParent) continue;
  const box = one.getBoundingClientRect();
  if (!one.closest('.scroll, .card, pre') && out(box, {left: 0, right: view.clientWidth})) found.cut.push(text(one));
  const clips = getComputedStyle(one).overflowX == 'hidden';
  if (clips && one.scrollWidth > one.clientWidth + 1) found.hidden.push(text(one));
}
for (const one of page.querySelectorAll('.scroll')) {
  if (!one.closest('details:not([open])') && one.scrollWidth > one.clientWidth + 1) found.alone.push(text(one));
}
for (const one of page.querySelectorAll('img')) {
  const natural = one.naturalWidth / one.naturalHeight, shown = one.width / one.height;
  if (!one.complete || Math.abs(natural / shown - 1) > 0.02 || !one.alt) found.pictures.push(one.alt.slice(0, 60));
}
const rows = [...page.querySelectorAll('tr[data-sign]')], isShown = one => getComputedStyle(one).display != 'none';
const shown = () => rows.filter(isShown).length;
found.rows = [shown()];
page.getElementById('reward-loss').checked = true;
found.rows.push(shown());
page.getElementById('reward-any').checked = true;
page.getElementById('kind-1').checked = true;
found.rows.push(shown());
found.kinds = rows.filter(one => isShown(one) && one.dataset.kind != '1').length;
found.all = rows.length;
found.losses = rows.filter(one => one.dataset.sign == 'loss').length;
found.title = page.title;
document.getElementById('found').textContent = JSON.stringify(found);
"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of a run with every kind of figure, several data sets and hostile questions."""
    run = matrix_run(tmp_path_factory.mktemp("results") / "made", report={"sample_questions": 1000})
    run.summarise()
    run.draw()
    run.report()
    return run


def _browse(folder, *arguments):
    done = subprocess.run(
        [CHROMIUM, *OPTIONS, f"--user-data-dir={folder / 'profile'}", *arguments],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout


@pytest.fixture(scope="module", params=WIDTHS)
def measured(report, request, tmp_path_factory):
    """What MEASURE finds at a width: the page's own policy forbids scripts, so one beside it looks in."""
    folder = tmp_path_factory.mktemp("browser")
    page = html.escape((report.folder / "report.html").read_text(encoding="utf-8"))
    (folder / "frame.html").write_text(
        f'<!doctype html><meta charset="utf-8"><pre id="found"></pre>'
        f'<iframe style="width:{request.param}px;height:3000px;border:0" srcdoc="{page}"></iframe>'
        f"<script>addEventListener('load', () => {{{MEASURE}}})</script>",
        encoding="utf-8",
    )
    address = (folder / "frame.html").as_uri()
    dom = _browse(
        folder, f"--window-size={max(WIDTHS) + 100},3200", "--virtual-time-budget=20000", "--dump-dom", address
    )
    found = re.search(r'<pre id="found">(.*?)</pre>', dom, re.DOTALL)[1]
    return json.loads(html.unescape(found)) | {"width": request.param}


def test_nothing_is_cut_and_the_page_does_not_scroll_sideways(measured):
    assert measured["wide"] <= 0
    assert measured["cut"] == []
    assert measured["hidden"] == []


def test_markers_stay_within_their_column(measured):
    # SOAR-PQ reaches 100 %, the base model is at 0.
    assert measured["markers"] == []


def test_every_table_fits_a_desk_and_times_and_memory_a_telephone(measured):
    # Of the tables that are open; on a telephone the others scroll in a box of their own.
    if measured["width"] == 1280:
        assert measured["alone"] == []
    assert not [one for one in measured["alone"] if one.startswith("Stage jobs")]


def test_figures_keep_their_shape_and_have_words(measured):
    assert measured["pictures"] == []


def test_questions_are_filtered_without_a_script(measured):
    every, losses, of_a_kind = measured["rows"]
    assert every == measured["all"] > 0
    assert losses == measured["losses"] > 0
    assert 0 < of_a_kind < every
    assert measured["kinds"] == 0


def test_what_a_model_wrote_runs_nowhere(measured, report):
    assert measured["title"] == f"{report.config.report.title} – {report.config.run}"
    page = (report.folder / "report.html").read_text(encoding="utf-8")
    assert not any(hostile in page for hostile in HOSTILE)


def test_light_and_dark_show_the_same_page(report, tmp_path):
    means = []
    for name, scheme in (("light", 1), ("dark", 0)):
        picture = tmp_path / f"{name}.png"
        _browse(tmp_path, f"--blink-settings=preferredColorScheme={scheme}", "--window-size=1280,9000",
                f"--screenshot={picture}", (report.folder / "report.html").as_uri())  # fmt: skip
        means.append(matplotlib.image.imread(picture)[..., :3].mean(axis=2))
    light, dark = means
    assert light.shape == dark.shape
    # Pixels that are white on a light page are the dark page's ground, figures and all: no white card is left.
    ground = light > 0.995
    assert ground.mean() > 0.5
    assert np.quantile(dark[ground], 0.999) < 0.2
