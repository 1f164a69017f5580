"""The quality benchmark as a user runs it, tiny."""

import contextlib
import importlib
import io
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

from vshdr import Expander
from vshdr.camera.hdr_files import split
from vshdr.metrics.stops import stops
from vshdr.synthetic.panoramas import procedural_panorama
from vshdr.temporal.warp import warp
from vshdr.training.data import VALIDATION_SHARE

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
CONDITIONS = ("ideal", "camera", "graded", "broadcast", "still")


@pytest.fixture(scope="module")
def run(one_thread: None) -> Iterator[Callable[..., str]]:
    """Runs the benchmark with these arguments, tiny, and returns what it printed."""
    sys.path.insert(0, str(BENCHMARKS))
    main = importlib.import_module("quality").main

    def run(*arguments: object) -> str:
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            main(["--quick", *map(str, arguments)])
        return printed.getvalue()

    yield run
    sys.path.remove(str(BENCHMARKS))


def write_exr(path: Path, rgb: np.ndarray) -> None:
    """3 x H x W float32."""
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": np.ascontiguousarray(np.moveaxis(rgb, 0, 2).astype(np.float32))}).write(str(path))


@pytest.fixture(scope="module")
def result(run: Callable[..., str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, dict]:
    """A run over a folder of ten panoramas, of which one is held out: its folder, its print, its JSON."""
    folder = tmp_path_factory.mktemp("quality")
    (folder / "data").mkdir()
    for index, word in enumerate("abcdefghij"):
        write_exr(folder / "data" / f"place_{word}.exr", procedural_panorama(index, 128).numpy())
    models = ("none", "akyuz", "expandmap", "knee", "oracle_const")
    printed = run("--data", folder / "data", "--out", folder / "out", "--harbour", 0, "--models", *models)
    return folder / "out", printed, json.loads((folder / "out" / "quality.json").read_text())


def test_all_conditions_and_models_are_scored(result):
    _, printed, report = result
    assert tuple(report["summary"]) == CONDITIONS
    for condition, rows in report["summary"].items():
        assert list(rows) == ["none", "akyuz", "expandmap", "knee", "oracle_const"]
        wanted = {"pu21_psnr", "pu21_psnr_corrected", "pu21_ssim", "pu21_ssim_corrected", "delta_e_itp", "equivariance"}
        wanted |= (
            {"still", "still_highlights"} if condition == "still" else {"flicker", "flicker_highlights", "pumping"}
        )
        assert all(wanted <= set(row) for row in rows.values())
    for text in (*CONDITIONS, "oracle_const", "PU21 dB, response corrected", "Delta E ITP"):
        assert text in printed


def test_the_scores_tell_models_apart_as_they_must(result):
    _, _, report = result
    ideal = report["summary"]["ideal"]
    # What is clipped is missing in `none`, and the oracle has its mean right; `akyuz` moves what was right.
    assert ideal["none"]["highlight_bias"] < -0.3
    assert ideal["oracle_const"]["highlight_error"] < ideal["none"]["highlight_error"]
    assert ideal["none"]["delta_e_itp"] < 1.0 < ideal["akyuz"]["delta_e_itp"]
    assert ideal["akyuz"]["pu21_psnr"] < ideal["akyuz"]["pu21_psnr_corrected"]
    assert report["summary"]["still"]["none"]["still"] > 0.0


def test_only_pictures_that_never_train_are_taken(result):
    _, _, report = result
    paths = [Path(f"place_{word}.exr") for word in "abcdefghij"]
    held_out = {path.stem for path in split(paths, VALIDATION_SHARE)[1]}
    assert {record["scene"] for record in report["scenes"]} == held_out | {"own-1"}


def test_contact_sheets_show_every_model(result):
    folder, _, _ = result
    for condition in CONDITIONS:
        with Image.open(folder / f"{condition}.png") as sheet:
            assert sheet.width > 7 * 96 and sheet.height > 2 * 2 * 64


def test_another_programs_exrs_are_scored_like_a_model_and_runs_repeat(run, tmp_path):
    scenes = ("--harbour", 0, "--conditions", "ideal", "still")
    run("--export", tmp_path / "png", *scenes)
    (tmp_path / "exr").mkdir()
    pictures = sorted((tmp_path / "png").glob("*.png"))
    assert len(pictures) == 2 * (3 + 1)
    for path in pictures:
        sdr = torch.from_numpy(np.moveaxis(np.asarray(Image.open(path)), 2, 0) / np.float32(255))
        write_exr(tmp_path / "exr" / f"{path.stem}.exr", Expander("none").expand(sdr[None])[0].numpy())
    run("--exr", f"theirs={tmp_path / 'exr'}", "--models", "none", "--out", tmp_path / "out", *scenes)
    for rows in json.loads((tmp_path / "out" / "quality.json").read_text())["summary"].values():
        assert rows["theirs"] == pytest.approx(rows["none"], abs=1e-5)


def test_networks_take_part_once_more_smoothed(run, tmp_path):
    run("--harbour", 0, "--models", "gainmap", "--smooth", 1, "--conditions", "still", "--out", tmp_path)
    rows = json.loads((tmp_path / "quality.json").read_text())["summary"]["still"]
    assert list(rows) == ["gainmap", "gainmap, smoothed"]
    assert rows["gainmap, smoothed"]["still_highlights"] < 0.9 * rows["gainmap"]["still_highlights"]
    assert "equivariance" not in rows["gainmap, smoothed"]


def test_a_pans_flow_leads_back_to_the_frame_before(run):
    look_around = importlib.import_module("quality_shots").look_around
    reel = look_around("a pan", procedural_panorama(3, 512), 3, 128, 96)
    identity = reel.grid[:1]
    for frame in (1, 2):
        now, before = (stops(reel.light[index, None]) for index in (frame, frame - 1))
        seen = reel.valid[frame, None]
        along, still = ((now - warp(before, grid)).abs()[seen].mean() for grid in (reel.grid[frame, None], identity))
        assert seen.float().mean() > 0.9
        assert along < 0.5 * still


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (["--models", "nonesuch"], ValueError, "no model 'nonesuch'"),
        (["--weights", "nonesuch=a.pth"], ValueError, "no model 'nonesuch'"),
        (["--data", "no-such-folder", "--models", "none"], OSError, "no .exr or .hdr file"),
        (
            ["--exr", "theirs=.", "--models", "none", "--harbour", "0"],
            OSError,
            "own-1_ideal_0000.exr is not there",
        ),
    ],
)
def test_mistakes_are_told(run, arguments, error, message):
    with pytest.raises(error, match=message):
        run(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--weights", "expandnet"], "is not NAME=PATH"),
        (["--exr", "theirs=a", "--exr", "theirs=b"], "named twice"),
        (["--own", "0", "--harbour", "0"], "there is no scene"),
        (["--size", "65", "64"], "even sides"),
    ],
)
def test_wrong_arguments_are_refused(run, capsys, arguments, message):
    with pytest.raises(SystemExit):
        importlib.import_module("quality").main(arguments)
    assert message in capsys.readouterr().err


def test_as_a_program_it_ends_with_a_sentence():
    program = [sys.executable, BENCHMARKS / "quality.py", "--models", "nonesuch"]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert done.stderr.startswith("quality: there is no model 'nonesuch'")
