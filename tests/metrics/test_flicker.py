"""`vshdr flicker` on clips whose flicker is known."""

import csv
import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.clips import write_clip
from helpers.flicker_clips import HEIGHT, RATE, WIDTH, scene, swing, write_exr, write_sdr
from scipy.ndimage import gaussian_filter1d

from vshdr.cli.main import main
from vshdr.metrics import jod
from vshdr.metrics.flicker.frame_difference import encode_luminance, from_source
from vshdr.metrics.flicker.meter import ClipMeter
from vshdr.metrics.flicker.motion import estimate_motion, known_motion
from vshdr.metrics.flicker.percent_flicker import PercentFlicker
from vshdr.metrics.flicker.smoothness import TemporalEnergy, smoothness
from vshdr.metrics.flicker.spectrum import Spectrum, peak
from vshdr.temporal.warp import identity_grid

pytestmark = pytest.mark.usefixtures("one_thread")
FRAMES = 24
FLICKER = ("excess", "excess_highlights", "excess_pu21", "jitter_50", "jitter_90", "jitter_99", "percent_flicker")


@pytest.fixture(scope="module")
def still(tmp_path_factory) -> tuple[torch.Tensor, str]:
    """A still scene and the SDR of it."""
    light = scene().expand(FRAMES, -1, -1, -1)
    return light, write_sdr(tmp_path_factory.mktemp("still") / "sdr", light)


def measured(folder: Path, *arguments: str) -> dict:
    """The JSON of a run."""
    assert main(["flicker", *arguments, "--json", str(folder / "flicker.json")]) == 0
    return json.loads((folder / "flicker.json").read_text())


def times(light: torch.Tensor, stops: torch.Tensor) -> torch.Tensor:
    return light * torch.exp2(stops).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("amplitude", [0.05, 0.25, 1.0])
def test_planted_flicker_is_recovered(still, tmp_path, amplitude):
    light, sdr = still
    stops = swing(amplitude, 6.0, FRAMES)
    total = measured(tmp_path, write_exr(tmp_path / "a", times(light, stops)), "--sdr", sdr)["clips"][0]["total"]
    change = float(stops.diff().abs().mean())
    for name in ("excess", "excess_highlights", "jitter_50", "jitter_90", "jitter_99", "warped"):
        assert total[name] == pytest.approx(change, rel=0.05), name
    assert total["percent_flicker"] == pytest.approx(100 * math.tanh(amplitude * math.log(2)), rel=0.05)
    assert total["peak_frequency"] == pytest.approx(6.0, abs=0.5)
    assert total["peak_amplitude"] == pytest.approx(amplitude, rel=0.1)
    assert total["pumping"] < 0.01 * change and total["boiling"] < 0.01 * change  # it is the whole picture's


def test_a_faithful_copy_of_any_brightness_does_not_flicker(still, tmp_path):
    light, sdr = still
    linear = light.clamp(0.0, 1.0)
    found = measured(
        tmp_path, write_exr(tmp_path / "same", linear), write_exr(tmp_path / "dark", linear * 0.2), "--sdr", sdr
    )
    assert [clip["role"] for clip in found["clips"]] == ["clip", "clip", "source"]
    for clip in found["clips"]:
        for name in FLICKER:
            assert clip["total"][name] == pytest.approx(0.0, abs=1e-4), name
    assert found["clips"][1]["total"]["smoothness_normalised"] == pytest.approx(1.0, abs=0.01)


def test_flicker_is_measured_alike_at_any_scale(still, tmp_path):
    light, sdr = still
    flickers = times(light, swing(0.2, 4.0, FRAMES))
    clips = [write_exr(tmp_path / name, flickers * scale) for name, scale in (("a", 1.0), ("b", 0.01), ("c", 50.0))]
    totals = [clip["total"] for clip in measured(tmp_path, *clips, "--sdr", sdr)["clips"][:3]]
    alone = [clip["total"] for clip in measured(tmp_path, *clips)["clips"]]
    for name in FLICKER:
        for found in (totals, alone):
            assert [total[name] for total in found] == pytest.approx([found[0][name]] * 3, rel=0.01), name


def test_without_a_source_all_change_counts(still, tmp_path):
    light, _ = still
    stops = swing(0.3, 6.0, FRAMES)
    (clip,) = measured(tmp_path, write_exr(tmp_path / "a", times(light, stops)))["clips"]
    assert clip["total"]["excess"] == pytest.approx(float(stops.diff().abs().mean()), rel=0.1)
    assert "smoothness" not in clip["total"]


def test_grain_of_the_source_is_not_the_clips_and_taking_it_away_is_no_flicker(tmp_path):
    random = torch.Generator().manual_seed(1)
    clean = scene().expand(8, -1, -1, -1)
    grainy = times(clean, torch.zeros(8)) * torch.exp2(0.2 * torch.randn(8, 1, HEIGHT, WIDTH, generator=random))
    sdr = write_sdr(tmp_path / "sdr", grainy)
    kept = times(grainy.clamp(0.0, 1.0), torch.full((8,), 0.5))
    clips = [write_exr(tmp_path / name, light) for name, light in (("kept", kept), ("cleaned", clean.clamp(0.0, 1.0)))]
    kept, cleaned, source = (clip["total"] for clip in measured(tmp_path, *clips, "--sdr", sdr)["clips"])
    assert source["warped"] > 0.1
    assert kept["excess"] < 0.001 and kept["warped"] == pytest.approx(source["warped"], rel=0.01)
    assert cleaned["excess"] < 0.1 * source["warped"]


def test_truth_takes_what_the_scene_does_upon_itself(still, tmp_path):
    light, sdr = still
    twinkling = light.clone()
    twinkling[:, :, 30:46, 60:76] *= torch.exp2(swing(0.5, 6.0, FRAMES)).reshape(-1, 1, 1, 1)  # inside the bright lamp
    found = measured(tmp_path, write_exr(tmp_path / "a", twinkling), "--sdr", sdr, "--truth",
                     write_exr(tmp_path / "truth", twinkling))  # fmt: skip
    clip = found["clips"][0]["total"]
    assert clip["excess_highlights"] > 0.02 and clip["beyond_truth"] == 0.0 == clip["beyond_truth_highlights"]


def run(light: torch.Tensor, sdr: torch.Tensor, grids: torch.Tensor | None = None) -> dict[str, float]:
    """The totals of a clip along exact motion, T x H x W x 2, or followed motion."""
    meter, before = ClipMeter(RATE), None
    for index in range(len(light)):
        reference, move = from_source(sdr[index, None]), None
        if before is not None and grids is None:
            move = estimate_motion(reference.guide, before.guide)
        elif before is not None:
            inside = (grids[index, None].abs() <= 1 - 1 / torch.tensor([WIDTH, HEIGHT])).all(dim=-1).unsqueeze(1)
            move = known_motion(grids[index, None], inside)
        meter.add(encode_luminance(light[index, None]), reference, before, move)
        before = reference
    meter.cut()
    return meter.totals()


def panned(frames: int = 12, step: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """A pan by whole pixels, and where each pixel was."""
    wide = scene(WIDTH + frames * step, HEIGHT)
    light = torch.stack([wide[:, :, index * step : index * step + WIDTH] for index in range(frames)])
    grid = identity_grid(HEIGHT, WIDTH) + torch.tensor([2 * step / WIDTH, 0.0])
    return light, grid.expand(frames, -1, -1, -1)


def test_a_pan_along_exact_motion_does_not_flicker():
    light, grids = panned()
    total = run(light, light.clamp(0.0, 1.0), grids)
    for name in ("excess", "excess_highlights", "jitter_50", "jitter_90", "jitter_99", "percent_flicker"):
        assert total[name] == pytest.approx(0.0, abs=1e-3), name
    planted = run(times(light, swing(0.1, 6.0, 12)), light.clamp(0.0, 1.0), grids)
    assert planted["excess"] == pytest.approx(float(swing(0.1, 6.0, 12).diff().abs().mean()), rel=0.05)


def test_a_zoom_along_exact_motion_hardly_flickers():
    still = scene(2 * WIDTH, 2 * HEIGHT)[None]
    scales = [0.5 * 1.01**index for index in range(8)]
    views = [
        torch.nn.functional.grid_sample(still, identity_grid(HEIGHT, WIDTH) * s, align_corners=False) for s in scales
    ]
    light = torch.cat(views)
    total = run(light, light.clamp(0.0, 1.0), (identity_grid(HEIGHT, WIDTH) * 1.01).expand(8, -1, -1, -1))
    assert total["excess"] < 0.003 and total["excess_highlights"] < 0.01


def test_a_pan_along_followed_motion_hardly_flickers():
    light, _ = panned()
    total = run(light, light.clamp(0.0, 1.0))
    assert total["excess"] < 0.01
    planted = run(times(light, swing(0.1, 6.0, 12)), light.clamp(0.0, 1.0))
    assert planted["excess"] == pytest.approx(float(swing(0.1, 6.0, 12).diff().abs().mean()), rel=0.15)


def test_a_region_that_flickers_alone_pumps_and_seething_highlights_boil():
    light = scene().expand(12, -1, -1, -1)
    sdr = light.clamp(0.0, 1.0)
    stops = swing(0.2, 6.0, 12)
    region = light.clone()
    region[..., : WIDTH // 4] = times(light, stops)[..., : WIDTH // 4]
    change = float(stops.diff().abs().mean())
    pumps = run(region, sdr)
    assert pumps["pumping"] == pytest.approx(change / 4, rel=0.1)
    assert pumps["jitter_50"] < 0.5 * change
    grain = 0.1 * torch.randn(12, 1, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    boils = run(torch.where(light.amax(1, keepdim=True) > 1.0, light * torch.exp2(grain), light), sdr)
    assert boils["boiling"] == pytest.approx(0.1 * math.sqrt(2) * math.sqrt(2 / math.pi), rel=0.15)
    assert boils["pumping"] < 0.2 * boils["boiling"]


def test_spectrum_finds_frequency_and_amplitude():
    spectrum = Spectrum(25.0)
    for change in 0.3 * np.diff(np.sin(2 * np.pi * 5.3 * np.arange(300) / 25)):
        spectrum.add(np.array([change, change / 3]))
    spectrum.cut()
    for place, amplitude in ((0, 0.3), (1, 0.1)):
        assert peak(spectrum.frequencies, spectrum.amplitudes[:, place]) == (
            pytest.approx(5.3, abs=0.1),
            pytest.approx(amplitude, rel=0.05),
        )


def test_lamps_are_rated_as_in_the_handbook():
    lamp = PercentFlicker(24.0)
    square = np.where(np.arange(25) % 12 < 6, 0.0, 1.0)  # light 1 and 2, half of the time each
    for change in np.diff(square):
        lamp.add(change)
    found = lamp.summary()
    assert found["percent_flicker"] == pytest.approx(100 / 3, rel=0.01)
    assert found["flicker_index"] == pytest.approx(0.5 / 3, rel=0.05)


def test_smoothness_is_the_published_one():
    values = np.random.default_rng(0).random((60, 4, 5))

    def energy(clip: np.ndarray) -> TemporalEnergy:
        found = TemporalEnergy()
        for frame in clip:
            found.add(frame)
        found.cut()
        return found

    for length in (60, 13):
        slow = gaussian_filter1d(values[:length], 5.0, axis=0, mode="reflect", truncate=4.0)
        assert energy(values[:length]).fast == pytest.approx(np.square(values[:length] - slow).sum(), rel=1e-6)
    same, half = (smoothness(energy(values), energy(values * scale)) for scale in (1.0, 0.5))
    assert same == {"smoothness": pytest.approx(1.0), "smoothness_normalised": pytest.approx(1.0)}
    assert half == {"smoothness": pytest.approx(2.0), "smoothness_normalised": pytest.approx(1.0)}


def test_a_cut_is_no_flicker_and_each_shot_has_its_numbers(tmp_path):
    first, second = scene(seed=0).expand(10, -1, -1, -1), scene(seed=5).flip(2).expand(10, -1, -1, -1) * 0.5
    steady = torch.cat((first, second))
    flickers = torch.cat((first, times(second, swing(0.4, 6.0, 10))))
    clips = [write_exr(tmp_path / name, light) for name, light in (("a", steady), ("b", flickers))]
    sdr = write_sdr(tmp_path / "sdr", steady)
    found = measured(tmp_path, *clips, "--sdr", sdr, "--csv", str(tmp_path / "flicker.csv"))
    begins = [(shot["start"], shot["end"], shot["begins"]) for shot in found["shots"]]
    assert begins == [(0, 10, "start"), (10, 20, "cut")]
    steady, flickers = found["clips"][:2]
    assert steady["total"]["excess"] < 1e-3
    assert flickers["shots"][0]["excess"] < 1e-3 and flickers["shots"][1]["excess"] > 0.1
    assert flickers["per_frame"]["excess"][10] is None
    assert found["worst"][0]["clip"] == "b/shot" and found["worst"][0]["frame"] > 10
    rows = list(csv.DictReader((tmp_path / "flicker.csv").open()))
    assert len(rows) == 60 and rows[10]["excess"] == "" and rows[35]["shot"] == "2"
    assert float(rows[35]["excess"]) == pytest.approx(flickers["per_frame"]["excess"][15], rel=1e-3)


@pytest.mark.parametrize("transfer", ["pq", "hlg"])
def test_hdr_video_and_scripts_are_read(tmp_path, transfer, capsys):
    clip = write_clip(tmp_path / "sdr.mkv", frames=5, codec="ffv1", pixel_format="yuv444p")
    hdr = tmp_path / "hdr.mkv"
    convert = ("--transfer", transfer, "--codec", "ffv1", "--pixel-format", "yuv444p12le", "--model", "none", "--quiet")
    assert main(["convert", str(clip), str(hdr), *convert]) == 0
    script = tmp_path / "twice.vpy"
    script.write_text(
        "import vapoursynth as vs\nimport numpy as np\n"
        "blank = vs.core.std.BlankClip(format=vs.RGBS, width=64, height=48, length=5, color=[0.3, 0.5, 0.1])\n"
        "blank.std.SetFrameProps(_Transfer=8, _Matrix=0, _Primaries=1).set_output()\n"
    )
    found = measured(tmp_path, str(hdr), str(script), "--sdr", str(clip), "--model", "none")
    assert found["clips"][0]["total"]["excess"] < 0.02
    assert found["clips"][0]["scale"] == pytest.approx(1.0, abs=0.05 if transfer == "pq" else 0.3)
    assert found["clips"][1]["total"]["warped"] < 1e-5  # the script's frames are all the same
    assert found["equivariance"] < 0.1
    assert "equivariance error of none" in capsys.readouterr().out


@pytest.mark.skipif(not jod.available(), reason="needs ColorVideoVDP (pip install vshdr[quality])")
def test_colorvideovdp_tells_the_truth_from_flicker(still, tmp_path):
    light = still[0][:8]
    names = (("same", light), ("lively", times(light, swing(0.3, 6.0, 8))), ("truth", light))
    same, lively, truth = (write_exr(tmp_path / name, frames) for name, frames in names)
    clips = measured(tmp_path, same, lively, "--truth", truth, "--jod")["clips"]
    assert clips[0]["total"]["jod"] == pytest.approx(10.0, abs=1e-3) and clips[1]["total"]["jod"] < 9.0
    assert "jod" not in clips[2]["total"]


def test_memory_does_not_grow_with_the_clip():
    """All that a meter holds beside its numbers per frame is of one size after 100 frames and after 160."""
    light, sdr = scene()[None], from_source(scene()[None].clamp(0.0, 1.0))
    meter, sizes, move = (
        ClipMeter(RATE),
        [],
        known_motion(identity_grid(HEIGHT, WIDTH), torch.ones(1, 1, HEIGHT, WIDTH) > 0),
    )
    for index in range(161):
        meter.add(encode_luminance(light), sdr, sdr if index else None, move if index else None)
        meter.energy.add(light.numpy())
        if index in (100, 160):
            state = {name: value for name, value in vars(meter).items() if name != "track"}
            sizes.append(len(pickle.dumps(state)))
    assert sizes[1] < 1.01 * sizes[0]
    assert len(meter.track) == 161
