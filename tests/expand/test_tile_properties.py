"""Tiles of any size give the whole frame, and padding repeats what it should: for random sizes, tiles and overlaps."""

from __future__ import annotations

import functools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vshdr import Expander, models
from vshdr.expand.tiles import clamp_and_pad, in_tiles

pytestmark = pytest.mark.usefixtures("one_thread")
OPERATORS = [name for name in models.names() if not models.card(name).network]


def noise(height: int, width: int, seed: int, frames: int = 1) -> Tensor:
    """Code values from below 0 to above 1, with areas that are clipped."""
    random = torch.Generator().manual_seed(seed)
    coarse = torch.rand(frames, 3, 2 + height // 16, 2 + width // 16, generator=random)
    return F.interpolate(coarse, (height, width), mode="bilinear") * 1.6 - 0.2


whole = functools.cache(Expander)


@pytest.mark.parametrize("model", OPERATORS)
@given(
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    tile=st.tuples(st.integers(0, 100), st.integers(0, 100)),
    extra=st.none() | st.integers(0, 20),
    seed=st.integers(0, 99),
)
def test_an_operator_in_tiles_gives_the_whole_frame(model, height, width, tile, extra, seed) -> None:
    overlap = -1 if extra is None else models.card(model).context + extra
    sdr = noise(height, width, seed)
    tiled = Expander(model, tile=tile, overlap=overlap).expand(sdr)
    torch.testing.assert_close(tiled, whole(model).expand(sdr), atol=1e-5, rtol=0)


@settings(max_examples=15)
@given(
    height=st.integers(1, 200),
    width=st.integers(1, 200),
    tile=st.tuples(st.integers(1, 130), st.integers(1, 130)),
    seed=st.integers(0, 99),
)
def test_gainmap_in_tiles_gives_the_whole_frame(height, width, tile, seed) -> None:
    sdr = noise(height, width, seed)
    tiled = Expander("gainmap", tile=tile).expand(sdr)
    torch.testing.assert_close(tiled, whole("gainmap").expand(sdr), atol=1e-5, rtol=0)


@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    tile=st.tuples(st.integers(1, 50), st.integers(1, 50)),
    overlap=st.integers(0, 50),
)
def test_tiles_cover_each_pixel_and_know_where_they_are(height, width, tile, overlap) -> None:
    frames = noise(height, width, 0, frames=2)

    def network(seen: Tensor, rows: slice, columns: slice) -> Tensor:
        assert torch.equal(seen, frames[..., rows, columns])
        assert seen.shape[2] <= tile[1] + 2 * overlap and seen.shape[3] <= tile[0] + 2 * overlap
        return seen

    assert torch.equal(in_tiles(network, frames, tile, overlap), frames)


@given(height=st.integers(1, 40), width=st.integers(1, 40), multiple=st.integers(1, 64), frames=st.integers(1, 2))
def test_padding_reflects_or_repeats_and_clamps(height, width, multiple, frames) -> None:
    code = noise(height, width, 1, frames)
    given_code = code.clone()
    padded = clamp_and_pad(code, multiple)
    below, right = padded.shape[2] - height, padded.shape[3] - width
    assert torch.equal(code, given_code)
    assert (padded.shape[2] % multiple, padded.shape[3] % multiple) == (0, 0)
    assert 0 <= below < multiple and 0 <= right < multiple
    mode = "reflect" if below < height and right < width else "replicate"
    assert torch.equal(padded, F.pad(code.clamp(0.0, 1.0), (0, right, 0, below), mode=mode))
