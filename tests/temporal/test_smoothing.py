"""Temporal smoothing of the gain: quieter, without lag, ghosts or a look across a cut, the same through each door."""

from __future__ import annotations

import weakref
from typing import Any

import cv2
import pytest
import torch
import torch.nn.functional as F
from helpers.harbour_walks import HEIGHT, WIDTH, seen, two_shots, view
from torch import Tensor

from vshdr import Expander
from vshdr.camera.simple_camera import simple_camera
from vshdr.colour.gain import apply_gain
from vshdr.metrics.flicker.known_flow import still_instability
from vshdr.synthetic.harbour.scene import render
from vshdr.temporal import flow
from vshdr.temporal.gain_frames import GainFrame
from vshdr.temporal.percentile import remap
from vshdr.temporal.smoothing import Smoother

pytestmark = pytest.mark.usefixtures("one_thread")


def gain_frames(sdr: Tensor, gain: Tensor, starts: tuple[int, ...] = ()) -> dict[int, GainFrame]:
    return {
        n: GainFrame.of(
            code, g, brightness=float(code.mean()), starts_shot=n in starts, linearise=lambda code: code.pow(2.4)
        )
        for n, (code, g) in enumerate(zip(sdr, gain, strict=True))
    }


def smoothed(sdr: Tensor, gain: Tensor, radius: int = 2, mode: str = "gain", starts: tuple[int, ...] = ()) -> Tensor:
    smoother, window = Smoother(radius, mode), gain_frames(sdr, gain, starts)
    return torch.stack([smoother(number, window) for number in window])


@pytest.fixture(params=[flow.inverse_search, flow.lucas_kanade])
def each_flow(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once with the flow of CPUs, once with that of GPUs."""
    monkeypatch.setattr("vshdr.temporal.smoothing.flow", request.param)


@pytest.mark.usefixtures("each_flow")
def test_a_still_frame_with_fresh_noise_becomes_several_times_quieter() -> None:
    """What is left above the noise of the SDR itself, which smoothing does not touch."""
    clip = torch.stack([seen(view(0.0), exposure=1.5, seed=n) for n in range(9)])
    bright = (clip.mean(dim=0).amax(dim=0) > 0.8).expand(9, 1, -1, -1)
    own = still_instability(Expander("none").expand(clip), bright)
    alone, calm = (still_instability(Expander("gainmap", smooth=n).expand(clip), bright) for n in (0, 2))
    assert alone - own > 4 * (calm - own)


def test_planted_flicker_of_the_gain_is_averaged_to_its_mean() -> None:
    """Radius 1 over a flicker of period 3 leaves nothing."""
    sdr = seen(view(0.0))[None].expand(9, -1, -1, -1)
    flicker = torch.tensor([0.3, 0.0, -0.3]).repeat(3)[:, None, None, None]
    result = smoothed(sdr, (1.0 + flicker).expand(9, 3, HEIGHT, WIDTH), radius=1)
    torch.testing.assert_close(result[1:-1], torch.ones_like(result[1:-1]), atol=1e-4, rtol=0)


@pytest.mark.usefixtures("each_flow")
def test_the_gain_moves_with_the_picture() -> None:
    """A pan of three pixels per frame: the gain that belongs to a thing is averaged with itself only."""
    wide = simple_camera(render(0.5, 2 * WIDTH, HEIGHT, samples=1))
    sdr = torch.stack([wide[..., 3 * n : 3 * n + WIDTH] for n in range(9)])
    gain = 2.0 * sdr
    inside = smoothed(sdr, gain)[4][..., 12:-12]
    assert (inside - gain[4][..., 12:-12]).abs().mean() < 0.02
    still = smoothed(sdr[4:5].expand(9, -1, -1, -1), gain)[4][..., 12:-12]  # the picture does not tell of the motion
    assert (still - gain[4][..., 12:-12]).abs().mean() > 0.05


def moving_lamp(frames: int, speed: int) -> tuple[Tensor, Tensor]:
    """A clipped lamp that crosses a dim wall, and the gain of two stops where it is."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    lamp = torch.stack([((x - 20 - speed * n).square() + (y - 36).square() < 64) for n in range(frames)])
    sdr = torch.where(lamp[:, None], 1.0, view(0.0).clamp(0.0, 0.4)[None])
    return sdr, 2.0 * lamp[:, None].expand(-1, 3, -1, -1)


@pytest.mark.usefixtures("each_flow")
@pytest.mark.parametrize("speed", [2, 9, 30])
def test_a_moving_lamp_leaves_no_ghost(speed: int) -> None:
    sdr, gain = moving_lamp(5, speed)
    result = smoothed(sdr, gain)[2]
    lit = gain[2, :1]
    near = F.max_pool2d(lit, 3, 1, 1)  # edges may move by a fraction of a pixel
    assert result[:, near[0] == 0].abs().max() < 0.01  # nothing of it is seen where it was or will be
    assert result[:, lit[0] > 0].mean() > 1.98


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_flash_keeps_its_frames(length: int) -> None:
    """The gain of a flash stays its own, and none of it is seen before or after."""
    sdr = torch.stack([seen(view(0.0), exposure=8.0 if 4 <= n < 4 + length else 1.0, seed=n) for n in range(11)])
    gain = torch.zeros(11, 3, HEIGHT, WIDTH)
    gain[4 : 4 + length] = 1.5
    means = smoothed(sdr, gain).mean(dim=(1, 2, 3))
    torch.testing.assert_close(means, gain.mean(dim=(1, 2, 3)), atol=0.03, rtol=0)


def test_a_fade_stays_where_it_is() -> None:
    levels = torch.linspace(1.0, 0.0, 25)
    sdr = view(0.0).clamp(0.0, 1.0).pow(1 / 2.4) * levels[:, None, None, None]
    gain = levels[:, None, None, None].expand(-1, 3, HEIGHT, WIDTH)
    result = smoothed(sdr, gain, radius=3).mean(dim=(1, 2, 3))
    torch.testing.assert_close(result[3:-3], levels[3:-3], atol=0.005, rtol=0)
    torch.testing.assert_close(result, levels, atol=0.08, rtol=0)


@pytest.mark.parametrize("mode", ["gain", "percentile"])
def test_nothing_crosses_a_cut(mode: str) -> None:
    clip = two_shots()
    both, first = (Expander("gainmap", smooth=3, smooth_mode=mode).expand(part) for part in (clip, clip[:9]))
    torch.testing.assert_close(both[:9], first, rtol=0, atol=0)
    second = Expander("gainmap", smooth=3, smooth_mode=mode).expand(clip[9:])
    torch.testing.assert_close(both[9:], second, rtol=0, atol=0)


def test_strength_and_the_peak_come_after_smoothing() -> None:
    clip = two_shots()[:5]
    plain = Expander("gainmap", peak=0.0)
    window = gain_frames(clip, plain.gain(clip))
    gain = Smoother(2, "gain")(2, window)
    wanted = apply_gain(window[2].base, 0.5 * gain)
    got = Expander("gainmap", peak=0.0, strength=0.5, smooth=2).expand(clip)[2]
    torch.testing.assert_close(got, wanted, rtol=1e-5, atol=1e-5)
    assert Expander("gainmap", peak=300.0, smooth=2).expand(clip).max() <= 300 / 203


def test_expand_clip_streams_the_same_frames() -> None:
    asked = []

    def frames():
        for number, frame in enumerate(two_shots()):
            asked.append(number)
            yield frame

    expander = Expander("gainmap", smooth=2)
    stream = expander.expand_clip(frames())
    first = next(stream)
    assert len(asked) == 2 + 3 + 1
    torch.testing.assert_close(torch.stack([first, *stream]), expander.expand(two_shots()), rtol=0, atol=0)


@pytest.mark.usefixtures("each_flow")
@pytest.mark.parametrize("speed", [3, 10])
def test_a_moving_lamp_has_no_rings(speed: int) -> None:
    """Inside a clipped lamp all SDR is white, also where a neighbour shows its rim: its gain must not be seen there."""
    y, x = torch.meshgrid(torch.arange(HEIGHT), torch.arange(WIDTH), indexing="ij")
    far = torch.stack([((x - 36 - speed * n).square() + (y - 36).square()).float().sqrt() for n in range(5)])
    sdr = torch.where(far[:, None] < 20, 1.0, view(0.0).clamp(0.0, 0.4)[None])
    gain = ((20 - far) / 5).clamp(0.0, 2.0)[:, None].expand(-1, 3, -1, -1)  # two stops in the middle, none at the rim
    ring = (smoothed(sdr, gain)[2] - gain[2]).abs()
    assert ring.max() < 0.5 and ring[:, far[2] < 14].mean() < 0.02


def test_memory_does_not_grow_with_the_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: weakref.WeakSet[GainFrame] = weakref.WeakSet()
    make, largest = Expander.gain_frame, 0

    def counted(*arguments: Any) -> GainFrame:
        alive.add(gain_frame := make(*arguments))
        return gain_frame

    monkeypatch.setattr(Expander, "gain_frame", counted)
    frame = two_shots()[0]
    for _ in Expander("none", smooth=3).expand_clip(frame for _ in range(40)):
        largest = max(largest, len(alive))
    assert largest <= 8


@pytest.mark.cuda
@pytest.mark.parametrize("mode", ["gain", "percentile"])
def test_cuda_smooths_as_the_cpu_does(mode: str) -> None:
    clip = two_shots()
    options = {"precision": "fp32", "smooth": 2, "smooth_mode": mode}
    gpu, cpu = Expander("gainmap", device="cuda", **options), Expander("gainmap", device="cpu", **options)
    assert (gpu.expand(clip) - cpu.expand(clip)).abs().mean() < 0.01
    torch.testing.assert_close(gpu.expand(clip)[:9], gpu.expand(clip[:9]), rtol=0, atol=0)


# ---- percentile mode ----


def test_percentiles_are_smoothed_without_lag() -> None:
    """An impulse of all light at frame 12 has its largest effect there, and the same to both sides."""
    sdr = torch.full((25, 3, 8, 8), 0.5)
    gain = torch.zeros(25, 3, 8, 8)
    gain[12] = 1.0
    means = smoothed(sdr, gain, radius=6, mode="percentile").mean(dim=(1, 2, 3))
    assert means.argmax() == 12
    torch.testing.assert_close(means, means.flip(0), atol=1e-5, rtol=0)
    assert means[11] > 0.1


def test_remapped_light_keeps_what_is_above_its_percentiles() -> None:
    own = torch.tensor([0.1, 0.2, 0.3, 0.4, 1.0])
    light = torch.tensor([0.0, 0.05, 0.1, 0.25, 0.4, 1.0, 5.0])
    torch.testing.assert_close(remap(light, own, own), light)
    brighter = remap(light, own, 1.5 * own)
    torch.testing.assert_close(brighter[:-1], 1.5 * light[:-1])
    assert brighter[-1] == pytest.approx(5.5)


# ---- flow ----


@pytest.mark.parametrize("method", [flow.inverse_search, flow.lucas_kanade])
@pytest.mark.parametrize("shift", [(3, 0), (-2, 5), (14, -6)])
def test_flow_finds_a_known_motion(method, shift: tuple[int, int]) -> None:
    wide = simple_camera(render(0.5, 240, 136, samples=1)).mean(dim=0)[None, None]
    x, y = shift
    here = wide[..., 20:116, 20:220]
    there = wide[..., 20 - y : 116 - y, 20 - x : 220 - x]
    found = method(here, there)[0, :, 16:-16, 16:-16]
    error = (found - torch.tensor([x, y])[:, None, None].float()).norm(dim=0)
    assert error.median() < 0.5 and (error < 1.5).float().mean() > 0.8


def test_flow_does_not_depend_on_threads() -> None:
    here, there = (seen(view(0.02 * n), seed=n).mean(dim=0)[None, None] for n in range(2))
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = flow.flow(here, there)
        cv2.setNumThreads(4)
        assert torch.equal(flow.flow(here, there), alone)
    finally:
        cv2.setNumThreads(threads)
