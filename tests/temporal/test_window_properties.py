"""Windows, shots and smoothing over clips of any length: each frame once, from its own neighbours and nothing else."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vshdr.temporal.gain_frames import GainFrame, members
from vshdr.temporal.shots import shots, transitions, with_boundaries
from vshdr.temporal.signature import Signature, signature
from vshdr.temporal.smoothing import Smoother
from vshdr.temporal.transitions import LOOKAHEAD, SHOT_BEGINS, transition
from vshdr.temporal.windows import windows

pytestmark = pytest.mark.usefixtures("one_thread")


@given(length=st.integers(0, 30), before=st.integers(0, 8), after=st.integers(0, 8))
def test_each_frame_comes_once_with_its_neighbours_and_no_later_than_it_must(length, before, after) -> None:
    asked = 0

    def frames() -> Iterator[str]:
        nonlocal asked
        for number in range(length):
            asked += 1
            yield f"frame {number}"

    numbers = []
    for number, window in windows(frames(), before, after):
        numbers.append(number)
        wanted = range(max(0, number - before), min(length, number + after + 1))
        assert window == {n: f"frame {n}" for n in wanted}
        assert asked == min(length, number + after + 1)
    assert numbers == list(range(length))


def gain_frame(code: Tensor, starts_shot: bool) -> GainFrame:
    return GainFrame.of(
        code,
        2.0 * code,
        brightness=float(code.mean()),
        starts_shot=starts_shot,
        linearise=lambda code: code.pow(2.4),
    )


@st.composite
def clips(draw: st.DrawFn) -> dict[int, GainFrame]:
    """Up to a dozen tiny frames of noise, with shots that begin anywhere."""
    starts = draw(st.lists(st.sampled_from([False, False, False, True]), min_size=1, max_size=12))
    random = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    scene = torch.rand(3, 6, 5, generator=random)
    noise = 0.1 * torch.rand(len(starts), 3, 6, 5, generator=random)
    return {n: gain_frame((scene + noise[n]).clamp(0.0, 1.0), start) for n, start in enumerate(starts)}


@given(clip=clips(), radius=st.integers(0, 12), data=st.data())
def test_members_are_the_nearest_frames_without_a_boundary_between(clip, radius, data) -> None:
    number = data.draw(st.sampled_from(sorted(clip)))

    def in_one_shot(other: int) -> bool:
        low, high = sorted((number, other))
        return not any(clip[n].starts_shot for n in range(low + 1, high + 1))

    wanted = [n for n in clip if abs(n - number) <= radius and in_one_shot(n)]
    assert list(members(number, clip, radius)) == wanted


@pytest.mark.parametrize("mode", ["gain", "percentile"])
@given(clip=clips(), radius=st.integers(1, 12), data=st.data())
def test_a_smoothed_frame_depends_on_its_window_only(mode, clip, radius, data) -> None:
    """In order, one by one, alone with its window, and after all frames that are none of its business have changed."""
    smoother = Smoother(radius, mode)
    in_order = {n: smoother(n, window) for n, window in windows(clip.values(), radius, radius)}
    for number in data.draw(st.permutations(sorted(clip)))[:4]:
        shot = members(number, clip, radius)
        others = gain_frame(torch.rand(3, 6, 5, generator=torch.Generator().manual_seed(number)), False)
        changed = {
            n: frame if n in shot or n == shot.stop or n == shot.start - 1 else others for n, frame in clip.items()
        }
        window = {n: clip[n] for n in clip if abs(n - number) <= radius}
        assert torch.equal(smoother(number, window), in_order[number])
        assert torch.equal(smoother(number, changed), in_order[number])


@functools.cache
def look(picture: int, variant: int) -> Signature:
    """Frames of three pictures that differ a little from each other, of black and of white."""
    if picture >= 3:
        return signature(torch.full((3, 36, 64), float(picture - 3)))
    random = torch.Generator().manual_seed(picture)
    scene = torch.rand(3, 36, 64, generator=random)
    noise = torch.rand(3, 36, 64, generator=torch.Generator().manual_seed(100 + variant))
    return signature(0.95 * scene + 0.05 * noise)


SIGNATURES = st.lists(st.builds(look, st.integers(0, 4), st.integers(0, 2)), max_size=12)


@settings(max_examples=25)
@given(clip=SIGNATURES)
def test_a_boundary_depends_on_the_frames_around_it_only(clip) -> None:
    linear = list(transitions(clip))
    assert len(linear) == len(clip)
    for number in range(len(clip)):
        window = {n: clip[n] for n in range(max(0, number - LOOKAHEAD), min(len(clip), number + LOOKAHEAD))}
        assert transition(number, window) == linear[number]


@settings(max_examples=25)
@given(clip=SIGNATURES)
def test_shots_are_all_of_a_clip_and_begin_where_frames_are_said_to(clip) -> None:
    found = list(shots(clip))
    assert [n for shot in found for n in range(shot.start, shot.end)] == list(range(len(clip)))
    assert all(shot.start < shot.end and all(n in range(shot.start, shot.end) for n in shot.flashes) for shot in found)
    marked = list(with_boundaries(enumerate(clip)))
    assert [(number, look) for number, look, _ in marked] == list(enumerate(clip))
    assert [number for number, _, begins in marked if begins] == [shot.start for shot in found[1:]]
    assert all(shot.begins in SHOT_BEGINS for shot in found[1:])
