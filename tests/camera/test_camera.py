"""The virtual camera: exposed as asked, clean truth, exact motion, the same for a seed, and files that say
the same."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vshdr.camera import degradations as degrade
from vshdr.camera.capture import write_pairs
from vshdr.camera.codec import round_trip
from vshdr.camera.conditions import CONDITIONS, CameraOptions, ClippedRange
from vshdr.camera.hdr_files import read_hdr
from vshdr.camera.motion import MotionOptions, draw_path
from vshdr.camera.overlays import KINDS, compose, draw_overlays
from vshdr.camera.pairs import Pair, halved
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.simple_camera import simple_camera
from vshdr.camera.views import ViewOptions, draw_views, render
from vshdr.camera.virtual_camera import VirtualCamera
from vshdr.colour.transfer import EOTF
from vshdr.options.tools import CaptureOptions
from vshdr.runtime.dice import Dice
from vshdr.synthetic.harbour.scene import render as render_scene
from vshdr.temporal.warp import warp

CLEAN = CameraOptions(
    noise=0.0,
    ten_bit=1.0,
    rgb=1.0,
    dct=0.0,
    codec=0.0,
    bars=0.0,
    graphics=0.0,
    curves={"ideal": 1.0},
    hue=0.0,
    saturation=0.0,
)  # which push some colours out of the gamut, where they are clipped


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def synthetic() -> Panoramas:
    return Panoramas.procedural(6, seed=1, width=256)


@pytest.fixture(scope="module")
def smooth() -> Panoramas:
    """A panorama and a photo that change so slowly that interpolation loses nothing."""
    longitude = (torch.arange(1024) + 0.5) / 1024 * 2 * math.pi
    latitude = (torch.arange(512) + 0.5) / 512 * math.pi
    y, x = torch.meshgrid(latitude, longitude, indexing="ij")
    sphere = torch.stack((y.sin() * (4 * x).sin(), y.sin() * (3 * x).cos(), (7 * y).cos())).mul(1.5).exp2()
    return Panoramas([sphere, sphere[:, :, 100:800].contiguous()], dtype=torch.float32)


def test_shapes_ranges_and_words(synthetic: Panoramas) -> None:
    pair = VirtualCamera(synthetic, size=(48, 64)).pair(5, stability=True)
    for picture in (pair.sdr, pair.linear, pair.scene, pair.second_sdr, pair.second_linear):
        assert picture.shape == (5, 3, 48, 64) and picture.dtype == torch.float32
        assert picture.isfinite().all() and picture.min() >= 0.0
    assert max(pair.sdr.max(), pair.second_sdr.max()) <= 1.0
    assert pair.grid.shape == (5, 48, 64, 2) and pair.valid.shape == (5, 1, 48, 64) and pair.valid.dtype == torch.bool
    assert pair.valid.float().mean() > 0.8
    assert len(pair.kind) == 5 and all(kind.split("+")[0] in CameraOptions().curves for kind in pair.kind)


def test_the_same_seed_gives_the_same_samples_and_a_state_goes_on(synthetic: Panoramas) -> None:
    def same(a: Pair, b: Pair) -> bool:
        return a.kind == b.kind and all(
            torch.equal(getattr(a, name), getattr(b, name))
            for name in ("sdr", "linear", "second_sdr", "second_linear", "grid", "valid")
        )

    camera, again, other = (
        VirtualCamera(synthetic, CameraOptions(codec=0.3), size=(32, 32), seed=seed) for seed in (7, 7, 8)
    )
    first = camera.pair(6, stability=True)
    assert same(first, again.pair(6, stability=True))
    assert not same(first, other.pair(6, stability=True))
    other.load_state_dict(camera.state_dict())
    second = camera.pair(6, stability=True)
    assert not same(first, second) and same(second, other.pair(6, stability=True))


@pytest.mark.cuda
def test_a_gpu_draws_the_same_conditions() -> None:
    cpu, gpu = (
        VirtualCamera(Panoramas.procedural(3, 1, device, width=256), size=(64, 64)).pair(12, stability=True)
        for device in ("cpu", "cuda")
    )
    assert gpu.sdr.is_cuda and gpu.kind == cpu.kind
    torch.testing.assert_close(gpu.linear.cpu(), cpu.linear, rtol=1e-2, atol=1e-3)
    torch.testing.assert_close(gpu.grid.cpu(), cpu.grid, rtol=0, atol=1e-4)
    assert (gpu.sdr.cpu() - cpu.sdr).abs().mean() < 0.02  # the grain is another


@pytest.mark.parametrize("share", [(0.05, 0.15), (0.25, 0.3), (0.001, 0.002)])
def test_exposure_clips_the_share_that_was_asked_for(synthetic: Panoramas, share: tuple[float, float]) -> None:
    pair = VirtualCamera(synthetic, replace(CLEAN, clipped=(ClippedRange(1.0, *share),)), size=(64, 64)).pair(12)
    clipped = (pair.scene > 1.0).float().mean(dim=(1, 2, 3))
    assert (clipped > share[0] - 0.002).all() and (clipped < share[1] + 0.002).all()


def test_truth_is_what_the_clean_sdr_shows_below_white(synthetic: Panoramas) -> None:
    pair = VirtualCamera(synthetic, CLEAN, size=(64, 64)).pair(8)
    shown = EOTF["bt1886"](pair.sdr)
    below = pair.scene < 1.0
    assert (shown - pair.linear)[below].abs().max() < 2.4 / 1023  # half a step of 10 bits, at the curve's steepest
    assert torch.allclose(pair.linear, pair.scene, rtol=5e-3, atol=1e-6)
    assert pair.linear.max() > 20.0
    graded = VirtualCamera(synthetic, replace(CLEAN, curves={"graded": 1.0}), size=(64, 64)).pair(8)
    assert torch.allclose(graded.linear, graded.scene, rtol=5e-3, atol=1e-6)
    rolled = (graded.scene > 1.1) & (graded.scene < 3.5)
    assert rolled.any() and (graded.sdr[rolled] < 1.0).all()  # the shoulder kept them apart


def test_truth_is_clean(synthetic: Panoramas) -> None:
    clean = VirtualCamera(
        synthetic, replace(CLEAN, noise=1.0, shot_noise=(1e-9, 1e-9), read_noise=(1e-9, 1e-9)), size=(64, 64)
    )
    noisy = VirtualCamera(
        synthetic, replace(CLEAN, noise=1.0, shot_noise=(1e-3, 1e-3), read_noise=(1e-2, 1e-2)), size=(64, 64)
    )
    a, b = clean.pair(4), noisy.pair(4)
    assert torch.equal(a.linear, b.linear)
    assert (a.sdr - b.sdr).abs().mean() > 0.005


@pytest.mark.parametrize("half", [False, True], ids=["whole", "halved"])
@pytest.mark.parametrize("only", [0, 1], ids=["panorama", "photo"])
def test_grid_takes_the_first_view_onto_the_second(smooth: Panoramas, only: int, half: bool) -> None:
    smooth.weights = torch.eye(2)[only]
    pair = VirtualCamera(smooth, CLEAN, size=(96, 128), seed=3).pair(8, stability=True)
    if half:
        pair = halved(pair)
        assert pair.linear.shape == pair.scene.shape == (8, 3, 48, 64)
    apart = (warp(pair.linear, pair.grid) / pair.second_linear).log2().abs()
    still = (pair.linear / pair.second_linear).log2().abs()
    valid = pair.valid.expand_as(apart)
    assert still[valid].mean() > 0.01  # it did move
    assert apart[valid].max() < 0.01 and apart[valid].mean() < 0.05 * still[valid].mean()
    assert 0.85 < pair.valid.float().mean() < 1.0


def test_motion_stays_within_its_bounds(smooth: Panoramas) -> None:
    smooth.weights = torch.ones(2)
    for shift in (2.0, 6.0):
        motion = MotionOptions(shift=shift, roll=0.0, zoom=0.0, shear=0.0)
        pair = VirtualCamera(smooth, replace(CLEAN, motion=motion), size=(64, 64)).pair(16, stability=True)
        middle = pair.grid[:, 31:33, 31:33].mean(dim=(1, 2)) * 32
        assert middle.abs().max() <= shift * 1.01
        assert middle.abs().max() > shift * 0.5
        assert middle.abs().min(dim=1).values.max() > 0.1  # both ways at once


def test_without_motion_only_noise_and_compression_are_new(synthetic: Panoramas) -> None:
    options = replace(CONDITIONS["still"], codec=0.0)
    pair = VirtualCamera(synthetic, options, size=(48, 48)).pair(4, stability=True)
    assert torch.allclose(warp(pair.linear, pair.grid), pair.linear, rtol=1e-3, atol=1e-3)
    assert torch.equal(pair.linear, pair.second_linear)
    assert pair.valid.all() and not torch.equal(pair.sdr, pair.second_sdr)


def test_white_graphics_are_no_lamps_and_stand_still(smooth: Panoramas) -> None:
    smooth.weights = torch.tensor([1.0, 0.0])
    options = replace(CLEAN, graphics=1.0, bars=0.5, clipped=(ClippedRange(1.0, 0.4, 0.4),))
    pair = VirtualCamera(smooth, options, size=(96, 96), seed=5).pair(24, stability=True)
    laid = ((pair.linear - pair.scene).abs() > 0.01 * pair.scene + 1e-4).any(dim=1, keepdim=True).expand_as(pair.linear)
    white = laid & (pair.sdr > 0.999) & (pair.scene > 1.2)
    assert white.float().mean() > 0.005
    assert pair.linear[white].quantile(0.9) < 1.002  # but for logos that are seen through
    assert (pair.linear[laid] <= 1.0).float().mean() > 0.9
    apart = (warp(pair.linear, pair.grid) - pair.second_linear).abs() / (pair.second_linear + 0.01)
    assert apart[pair.valid.expand_as(apart)].max() < 0.02


def test_every_overlay_covers_something_and_composes() -> None:
    overlays = draw_overlays([*KINDS, ""], (90, 120), Dice(4))
    opacity = overlays[:, 3].flatten(1).mean(dim=1)
    assert (opacity[:-1] > 0.002).all() and opacity[-1] == 0.0
    below = torch.rand(len(overlays), 3, 90, 120)
    over = compose(below, overlays)
    assert torch.equal(over[-1], below[-1])
    opaque = (overlays[:, 3:] == 1.0).expand_as(over)
    torch.testing.assert_close(over[opaque], overlays[:, :3][opaque])


def test_every_camera_by_name_works(synthetic: Panoramas) -> None:
    for name, options in CONDITIONS.items():
        pair = VirtualCamera(synthetic, options, size=(32, 48)).pair(2)
        assert pair.sdr.isfinite().all()
        if name != "mixed":
            assert pair.kind[0].split("+")[0] in {"ideal", "sigmoid", "graded"}
    assert tuple(CONDITIONS) == CaptureOptions.__dataclass_fields__["condition"].metadata["choices"]


def test_sensor_noise_grows_with_light() -> None:
    light = torch.tensor([0.01, 1.0])[:, None, None, None].expand(2, 3, 128, 128)
    noisy = degrade.sensor_noise(
        light, torch.full((2,), 1e-4), torch.full((2,), 1e-3), torch.Generator().manual_seed(0)
    )
    expected = (1e-4 * light[:, 0, 0, 0] + 1e-6).sqrt()
    torch.testing.assert_close((noisy - light).std(dim=(1, 2, 3)), expected, rtol=0.03, atol=0)


def test_ycbcr_goes_there_and_back_and_lands_on_video_levels() -> None:
    sdr = torch.rand(2, 3, 16, 24)
    torch.testing.assert_close(degrade.from_planes(degrade.to_planes(sdr, subsample=False)), sdr, atol=1e-6, rtol=0)
    grey = torch.rand(2, 1, 16, 24).expand(-1, 3, -1, -1)
    luma, chroma = degrade.quantise(degrade.to_planes(grey, subsample=True), torch.tensor([8.0, 10.0]))
    assert chroma.shape == (2, 2, 8, 12) and chroma.abs().max() < 1e-6
    for plane, steps in zip(luma, (219, 876), strict=True):
        assert (plane * steps - (plane * steps).round()).abs().max() < 1e-3
    assert (luma[1] - grey[1, :1]).abs().max() < (luma[0] - grey[0, :1]).abs().max()


@pytest.mark.parametrize("quality", [30, 75, 95])
def test_dct_quantisation_does_what_jpeg_does(quality: int) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 61), torch.linspace(0, 1, 83), indexing="ij")
    picture = (
        0.5 + 0.3 * torch.sin(9 * x * (1 + y)) + 0.1 * torch.rand(61, 83, generator=torch.Generator().manual_seed(1))
    )
    code = (picture * 255).round()
    file = io.BytesIO()
    Image.fromarray(code.byte().numpy()).save(file, "jpeg", quality=quality)
    reference = torch.from_numpy(np.array(Image.open(file))).float()
    planes = degrade.to_planes((code / 255).expand(1, 3, -1, -1), subsample=False)
    ours = degrade.dct_quantise(planes, [degrade.jpeg_steps(quality)])[0][0, 0] * 255
    assert (ours - reference)[:56, :80].abs().mean() < 0.05 * (code - reference).abs().mean() + 0.4  # integers


def test_sizes_that_cannot_be_are_refused(synthetic: Panoramas) -> None:
    with pytest.raises(ValueError, match="even"):
        VirtualCamera(synthetic, size=(33, 64))
    with pytest.raises(ValueError, match="noise is a share.*1.5"):
        CameraOptions(noise=1.5)
    with pytest.raises(ValueError, match="curves may name.*'polaroid'"):
        CameraOptions(curves={"polaroid": 1.0})


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_real_codecs_lose_what_they_are_told_to(codec: str) -> None:
    y, x = torch.meshgrid(torch.linspace(0, 6, 64), torch.linspace(0, 6, 96), indexing="ij")
    frame = torch.stack((0.5 + 0.4 * (x + y).sin(), 0.5 + 0.4 * (x * y).cos(), 0.5 + 0.3 * y.cos()))
    frames = frame.expand(3, -1, -1, -1)
    fine, coarse = (round_trip(frames, codec, crf) for crf in (12, 40))
    assert fine.shape == frames.shape and torch.equal(fine, round_trip(frames, codec, 12))
    assert (fine - frames).abs().mean() < 0.02 < 2 * (coarse - frames).abs().mean()
    assert (fine - frames).abs().mean() < 0.5 * (coarse - frames).abs().mean()


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_the_same_frames_come_back_the_same(codec: str) -> None:
    """x264's fast sums depend on what memory held before, unless it is told otherwise."""
    generator = torch.Generator().manual_seed(0)
    shots = [render_scene(time / 24, 64, 48, samples=1) for time in range(3)]
    frames = torch.stack([simple_camera(light, exposure=1.3, noise=0.02, generator=generator) for light in shots])
    litter, found = [], set()
    for number in range(40):
        litter.append(np.full(1000 + 7919 * number * number % 200000, number, np.uint8))
        del litter[: number % 3]
        found.add(round_trip(frames, codec, 23).numpy().tobytes())
    assert len(found) == 1


@pytest.mark.parametrize("size", [(16, 34), (24, 40), (48, 48), (66, 30)])
def test_codecs_take_small_frames(size: tuple[int, int]) -> None:
    """x265 corrupts its memory on some widths."""
    frame = torch.linspace(0.2, 0.8, 3 * size[0] * size[1]).reshape(3, *size)
    for codec in ("h264", "hevc"):
        assert (round_trip(frame.expand(2, -1, -1, -1), codec, 12) - frame).abs().max() < 0.05


def test_codec_share_is_compressed_and_aligned(synthetic: Panoramas) -> None:
    options = replace(CLEAN, codec=1.0, crf=(14, 14))
    pair = VirtualCamera(synthetic, options, size=(64, 64)).pair(3)
    reference = VirtualCamera(synthetic, replace(CLEAN, ten_bit=0.0), size=(64, 64)).pair(3)
    assert all(kind.split("+")[1].split("-")[0] in ("h264", "hevc") for kind in pair.kind)
    assert all("rgb" in kind for kind in reference.kind)
    error = (EOTF["bt1886"](pair.sdr) - pair.linear.clamp_max(1.0)).abs()
    assert 0.0 < error.mean() < 0.03


def test_clip_moves_steadily_as_its_flow_says(smooth: Panoramas) -> None:
    smooth.weights = torch.tensor([0.5, 0.5])
    motion = MotionOptions(shift=3.0, roll=0.2, zoom=0.002)
    clip = VirtualCamera(smooth, replace(CLEAN, motion=motion), size=(64, 96), seed=2).clip(5)
    assert clip.sdr.shape == clip.linear.shape == (5, 3, 64, 96) and clip.flow.shape == (5, 2, 64, 96)
    assert clip.flow[0].abs().max() < 1e-3
    apart = (warp(clip.linear[:-1], clip.grid[1:]) / clip.linear[1:]).log2().abs()
    assert apart[clip.valid[1:].expand_as(apart)].max() < 0.01
    middle = clip.flow[1:, :, 32, 48]
    assert middle.norm(dim=1).min() > 0.3 and (middle - middle[0]).abs().max() < 0.1
    smooth.spherical[0] = False
    with pytest.raises(ValueError, match="only photos"):
        VirtualCamera(smooth, CLEAN, size=(64, 96)).clip(2)
    smooth.spherical[0] = True


def test_a_long_clip_stays_in_bounds(smooth: Panoramas) -> None:
    """A camera that zoomed, rolled and tilted on would end on its head, at a point or with half a sphere in view."""
    motion = MotionOptions(shift=3.0, roll=0.2, zoom=0.01)
    view = draw_views(smooth, 1, (64, 96), ViewOptions(turned=0.0, flip=0.0), Dice(3))
    path = draw_path(smooth, view, 2000, (64, 96), motion, Dice(8))
    wide = path.matrix[:, :, 0].norm(dim=1)
    assert 1.4 < wide.max() / wide[0] < 1.6 and 1.4 < wide[0] / wide.min() < 1.6
    assert torch.equal(path.matrix, draw_path(smooth, view, 2000, (64, 96), motion, Dice(8)).matrix)
    up, ahead = path.matrix[:, 1, 1], path.matrix[:, 1, 2]
    assert (up < 0.0).all()  # v points down, on the same side of every picture
    assert (ahead.asin().rad2deg().abs() < 80.0).all()
    steps = (path.matrix[:-1].inverse() @ path.matrix[1:])[:, :2, 2]
    assert steps.norm(dim=1).min() > 0.3 * steps.norm(dim=1).max()


def test_views_seek_lights_and_never_magnify_much(synthetic: Panoramas) -> None:
    def brightest(lights: float) -> float:
        options = replace(
            CLEAN, view=ViewOptions(lights=lights, angle=(35.0, 40.0)), clipped=(ClippedRange(1.0, 0.3, 0.3),)
        )
        scene = VirtualCamera(synthetic, options, size=(32, 32), seed=4).pair(24).scene
        return float(scene.amax(dim=(1, 2, 3)).log2().median())

    assert brightest(1.0) > brightest(0.0) + 1.0


@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_turned_views_are_the_same_views_turned(synthetic: Panoramas, size: tuple[int, int]) -> None:
    seen = set()
    for seed in range(24):
        upright, turned = (
            draw_views(synthetic, 1, size, ViewOptions(turned=share), Dice(seed)) for share in (0.0, 1.0)
        )
        lying = render(synthetic, turned, size)[0]
        for quarters in (1, 2, 3):
            # Turned by one or three right angles, a view covers what an upright one of swapped sides does.
            matrix = upright.matrix if quarters == 2 else upright.matrix @ swap(size)
            plain = render(synthetic, replace(upright, matrix=matrix), size if quarters == 2 else size[::-1])[0]
            if torch.allclose(torch.rot90(plain, quarters, (1, 2)), lying, atol=1e-4, rtol=1e-4):
                seen.add(quarters)
                break
        else:
            raise AssertionError(f"the view of seed {seed} is not one that was turned")
    assert seen == {1, 2, 3}


def swap(size: tuple[int, int]) -> torch.Tensor:
    """Takes a view of (height, width) `size` to one of swapped sides at the same scale."""
    height, width = size
    return torch.diag(torch.tensor([height / width, width / height, 1.0], dtype=torch.float64))


def test_written_pairs_and_clips(tmp_path: Path) -> None:
    assert write_pairs(tmp_path / "pairs", CaptureOptions(count=2, size=(64, 48), max_width=256)) == 2
    light = read_hdr(tmp_path / "pairs/hdr/0002.exr")
    assert light.shape == (3, 48, 64) and Image.open(tmp_path / "pairs/sdr/0002.png").size == (64, 48)
    assert (tmp_path / "pairs/conditions.csv").read_text().count("\n") == 3

    options = CaptureOptions(count=1, frames=3, size=(64, 48), max_width=256, condition="ideal", speed=2.0, seed=6)
    assert write_pairs(tmp_path / "clips", options) == 3
    place = tmp_path / "clips/0001"
    assert not (place / "flow.0001.npy").exists()
    flow = np.load(place / "flow.0003.npy")
    assert flow.shape == (48, 64, 2) and 0 < np.isnan(flow).mean() < 0.2 and np.nanmax(np.abs(flow)) < 4
    code = torch.from_numpy(np.array(Image.open(place / "sdr.0003.png"))).permute(2, 0, 1) / 255
    light = read_hdr(place / "hdr.0003.exr")
    assert (EOTF["bt1886"](code) - light.clamp_max(1.0)).abs().max() < 0.01
    with pytest.raises(ValueError, match="empty or a new"):
        write_pairs(tmp_path / "clips", options)


def test_the_camera_is_steered(tmp_path: Path) -> None:
    assert set(CaptureOptions.__dataclass_fields__["condition"].metadata["choices"]) == set(CONDITIONS)
    steered = {"clipped": (0.2, 0.25), "noise": 1.0, "codec": "hevc", "crf": 30, "angle": (20.0, 25.0)}
    write_pairs(tmp_path, CaptureOptions(count=6, size=(96, 64), condition="ideal", seed=2, **steered))
    with (tmp_path / "conditions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["conditions"] for row in rows] == ["ideal+noise+hevc-crf30"] * 6
    assert all(0.19 < float(row["clipped"]) < 0.26 for row in rows)
    for wrong in ({"angle": (90.0, 40.0)}, {"clipped": (0.5, 1.5)}, {"codec": "mpeg2"}, {"noise": 2.0}):
        with pytest.raises(ValueError, match="must be"):
            CaptureOptions(**wrong)
