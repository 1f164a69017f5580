"""The page of `vshdr flicker --html` in a real browser: plots, the slider, the exposure of HDR values."""

import base64
import math
import os
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.chromium import Browser, find_chromium
from helpers.flicker_clips import scene, swing, write_exr, write_sdr

from vshdr.cli.main import main
from vshdr.report.packed_pictures import pack

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = 16


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """A page about a steady and a flickering clip of 160 x 96 pixels, their source and the truth."""
    folder = tmp_path_factory.mktemp("page")
    light = scene(160, 96).expand(FRAMES, -1, -1, -1)
    flickering = light * torch.exp2(swing(0.3, 6.0, FRAMES)).reshape(-1, 1, 1, 1)
    clips = [write_exr(folder / name, frames) for name, frames in (("calm", light), ("lively", flickering))]
    against = ("--sdr", write_sdr(folder / "sdr", light), "--truth", write_exr(folder / "truth", light))
    assert main(["flicker", *clips, *against, "--html", str(folder / "flicker.html")]) == 0
    return folder / "flicker.html"


def test_page_holds_all_that_it_needs(page):
    html = page.read_text()
    assert not re.search(r"""(src|href)\s*=|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", html)
    assert "/*DATA*/" not in html and "/*STYLE*/" not in html and "/*SCRIPT*/" not in html


def test_names_cannot_break_the_page(tmp_path):
    name = "</script><script>document.title='broken'</script>"
    folder = tmp_path / "odd"
    pattern = write_exr(folder, scene().expand(2, -1, -1, -1))
    for file in folder.glob("*.exr"):
        file.rename(file.with_name(file.name.replace("shot", name.replace("/", "%2F").replace("%2F", "\u2215"))))
    pattern = next(folder.glob("*1001.exr"))
    assert main(["flicker", str(pattern).replace("1001", "####"), "--html", str(tmp_path / "page.html")]) == 0
    assert (tmp_path / "page.html").read_text().count("</script>") == 2


def test_hdr_values_survive_packing():
    light = scene(32, 24)
    data = np.frombuffer(zlib.decompress(base64.b64decode(pack(light / 2, light))), np.uint8).astype(np.int64)
    now, before = (data[: len(data) // 2] + 256 * data[len(data) // 2 :]).reshape(2, *light.shape)
    codes = now.cumsum(axis=2) & 4095
    for found, wanted in ((codes, light), ((codes + before) & 4095, light / 2)):
        assert np.abs(2.0 ** (found / 204.75 - 12.0) / wanted.numpy() - 1.0).max() < 0.002


@pytest.fixture(scope="module")
def shown(page, tmp_path_factory):
    if not find_chromium():
        pytest.skip("no Chromium is installed (apt install chromium, or set VSHDR_BROWSER to one)")
    with Browser(tmp_path_factory.mktemp("profile")) as window:
        window.open(page, 1400, 900)
        window.run("new Promise((done) => setTimeout(done, 300))")
        yield window


# The pixel of the brightest lamp in the side-by-side's canvas.
PIXEL = "[...document.getElementById('{}-picture').getContext('2d').getImageData(112, 57, 1, 1).data]"


def test_page_loads_alone_and_without_errors(shown, page):
    assert shown.failures() == []
    assert {url for url in shown.requests() if not url.startswith(("data:", "blob:"))} == {page.as_uri()}
    assert "lively" in shown.run("document.title")
    assert "calm" in shown.run("document.getElementById('verdict').textContent")


def test_plots_tables_and_maps_are_drawn(shown):
    assert shown.run("document.querySelectorAll('#time-plot .curve').length") == 4
    assert shown.run("document.querySelectorAll('#spectrum-plot .curve').length") == 4
    assert shown.run("document.querySelectorAll('#maps canvas').length") == 2
    assert (
        shown.run("document.querySelectorAll('#worst-frames button').length")
        == shown.run("data.worst_frames.length")
        > 0
    )
    assert "flicker" in shown.run("document.querySelector('#totals tbody th').textContent")
    lively, calm = shown.run(
        "[...document.querySelectorAll('#maps canvas')].map((c) => c.getContext('2d').getImageData(80, 40, 1, 1)"
        ".data.slice(0, 3).reduce((a, b) => a + b))"
    )[::-1]
    assert lively > calm + 100
    thumbnail = "[...document.querySelector('#worst-frames canvas').getContext('2d').getImageData(112, 57, 1, 1).data]"
    assert shown.run(thumbnail)[0] == 255


def test_another_metric_can_be_plotted(shown):
    before = shown.run("document.querySelector('#time-plot svg').textContent")
    shown.run("(() => { const m = document.getElementById('metric'); m.value = 'excess_pu21';"
              "m.dispatchEvent(new Event('change')); })()")  # fmt: skip
    now = shown.run("document.querySelector('#time-plot svg').textContent")
    assert now != before and "PU21 units per frame" in now
    assert "steps that look equal" in shown.run("document.getElementById('metric-meaning').textContent")


def test_the_slider_is_dragged(shown):
    shown.run("document.getElementById('stage').scrollIntoView({block: 'center', behavior: 'instant'})")
    box = shown.run("(() => { const b = document.getElementById('stage').getBoundingClientRect();"
                    "return [b.left, b.top, b.width, b.height]; })()")  # fmt: skip
    left, top, width, height = box
    middle = top + height / 2
    shown.drag((left + width / 2, middle), (left + width / 4, middle))
    assert float(shown.run("document.getElementById('divider').getAttribute('aria-valuenow')")) == 25
    assert shown.run("getComputedStyle(document.getElementById('right-picture')).clipPath") == "inset(0px 0px 0px 25%)"
    assert shown.run("document.getElementById('left-tag').textContent") == "lively/shot"
    assert shown.run("document.getElementById('right-tag').textContent") == "calm/shot"
    shown.run("document.getElementById('divider').focus()")
    shown.key("ArrowRight")
    assert float(shown.run("document.getElementById('divider').getAttribute('aria-valuenow')")) == 27


def test_exposure_reveals_highlights(shown):
    shown.run("document.getElementById('exposure').focus()")
    assert shown.run(PIXEL.format("left"))[0] == 255  # twelve times SDR white
    shown.key("Home")
    assert "-8.0 stops" in shown.run("document.getElementById('exposure-text').textContent")
    shown.run("new Promise((done) => setTimeout(done, 100))")
    code, light = shown.run(PIXEL.format("right"))[0] / 255, shown.run(
        "(async () => { const m = await picturesOf(view.worst, Number(document.getElementById('right').value));"
        "return 2 ** (m.now[57 * m.width + 112] / 204.75 - 12); })()"
    )  # fmt: skip
    assert light == pytest.approx(float(scene(160, 96)[0, 57, 112]), rel=0.01)
    dimmed = light * 2.0**-8
    assert code == pytest.approx(1.055 * dimmed ** (1 / 2.4) - 0.055, abs=1 / 255)


def test_the_frame_before_is_shown(shown):
    shown.run("document.getElementById('before').click()")
    shown.run("new Promise((done) => setTimeout(done, 100))")
    before = shown.run(PIXEL.format("left"))[0]
    shown.run("document.getElementById('now').click()")
    shown.run("new Promise((done) => setTimeout(done, 100))")
    now = shown.run(PIXEL.format("left"))[0]
    stops = 2.4 * math.log2((now / 255 + 0.055) / (before / 255 + 0.055))
    score = shown.run("data.worst_frames[view.worst].score")
    assert abs(stops) == pytest.approx(score, rel=0.3)


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_page_fits_the_window(shown, tmp_path, width, scheme):
    shown.resize(width, 900)
    shown.scheme(scheme)
    shown.run("new Promise((done) => setTimeout(done, 100))")
    assert shown.run("document.documentElement.scrollWidth") <= width
    paper = shown.run("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    # VSHDR_SCREENSHOTS: a folder for people who want to look.
    target = Path(os.environ.get("VSHDR_SCREENSHOTS", tmp_path)) / f"flicker_{width}_{scheme}.png"
    shown.picture(target)
    assert target.stat().st_size > 20_000
