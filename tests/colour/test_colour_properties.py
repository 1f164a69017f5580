"""Round trips of transfer functions, primaries and YCbCr, and the promises of the roll-off, over random colours."""

from __future__ import annotations

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from vshdr.colour.h273 import ChromaLocation, Primaries
from vshdr.colour.primaries import convert_primaries, luminance
from vshdr.colour.roll_off import RollOff, roll_off
from vshdr.colour.transfer import EOTF, INVERSE_EOTF, hlg_decode, hlg_encode, pq_decode, pq_encode
from vshdr.colour.ycbcr import LUMA_WEIGHTS, PlaneFormat

SHARES = st.floats(0.0, 1.0)
COLOURS = st.lists(st.tuples(SHARES, SHARES, SHARES), min_size=1, max_size=8).map(
    lambda colours: torch.tensor(colours, dtype=torch.float64).T.reshape(1, 3, 1, -1)
)


@given(colours=COLOURS)
def test_pq_is_undone_from_either_side_and_rises(colours) -> None:
    nits = 10000.0 * colours.pow(4)
    torch.testing.assert_close(pq_decode(pq_encode(nits)), nits, rtol=1e-8, atol=1e-9)
    # The curve of ST 2084 itself gives 7.3e-7 for no light, so that smaller codes do not come back.
    torch.testing.assert_close(pq_encode(pq_decode(colours)), colours.clamp_min(7.31e-7), rtol=0, atol=1e-9)
    rising = pq_encode(nits.flatten().sort().values)
    assert (rising.diff() >= -1e-12).all() and rising.min() >= 0 and rising.max() <= 1


@given(colours=COLOURS)
def test_hlg_is_undone(colours) -> None:
    nits = 1000.0 * colours.pow(3)
    # Below a thousandth of a nit of luminance the system gamma is held back, so that black stays finite.
    torch.testing.assert_close(hlg_decode(hlg_encode(nits)), nits, rtol=1e-5, atol=2e-3)


@given(colours=COLOURS, eotf=st.sampled_from(sorted(EOTF)))
def test_display_curves_are_undone_and_rise(colours, eotf) -> None:
    light = EOTF[eotf](colours)
    torch.testing.assert_close(INVERSE_EOTF[eotf](light), colours, atol=1e-7, rtol=0)
    assert (EOTF[eotf](colours.flatten().sort().values).diff() >= -1e-12).all()


@given(colours=COLOURS, primaries=st.permutations([Primaries.BT709, Primaries.BT2020]))
def test_primaries_are_converted_there_and_back_with_luminance_kept(colours, primaries) -> None:
    source, target = primaries
    linear = 50.0 * colours
    there = convert_primaries(linear, source, target)
    torch.testing.assert_close(convert_primaries(there, target, source), linear, atol=1e-9, rtol=0)
    torch.testing.assert_close(luminance(there, target), luminance(linear, source), atol=1e-9, rtol=0)


@st.composite
def planes(draw: st.DrawFn) -> PlaneFormat:
    subsampling = draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
    return PlaneFormat(
        width=draw(st.integers(1, 12)) << subsampling[0],
        height=draw(st.integers(1, 12)) << subsampling[1],
        bits=draw(st.integers(8, 16)),
        matrix=draw(st.sampled_from(sorted(LUMA_WEIGHTS))),
        full_range=draw(st.booleans()),
        subsampling=subsampling,
        chroma_location=draw(st.sampled_from(list(ChromaLocation))),
    )


@given(form=planes(), seed=st.integers(0, 99))
def test_ycbcr_codes_survive_a_round_trip(form, seed) -> None:
    """Any codes of luma, and of chroma where it is not subsampled; subsampled chroma where it is the same all over."""
    random = torch.Generator().manual_seed(seed)
    top = 1 << form.bits
    codes = [torch.randint(top, (2, *shape), generator=random).to(torch.int32) for shape in form.shapes()]
    if any(form.subsampling):
        codes[1:] = [code[:, :1, :1].expand_as(code) for code in codes[1:]]
    back = form.from_rgb(form.to_rgb([code.to(form.dtype) for code in codes]))
    for code, found in zip(codes, back, strict=True):
        assert found.dtype == form.dtype
        assert torch.equal(found.to(torch.int32), code)


@given(form=planes(), seed=st.integers(0, 99))
def test_white_and_black_are_where_the_range_has_them(form, seed) -> None:
    levels = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1).expand(2, 3, form.height, form.width)
    luma, blue, red = form.from_rgb(levels)
    unit, top = 1 << form.bits - 8, (1 << form.bits) - 1
    black, white = (0, top) if form.full_range else (16 * unit, 235 * unit)
    assert luma[0].to(torch.int32).unique().tolist() == [black] and luma[1].to(torch.int32).unique().tolist() == [white]
    for chroma in (blue, red):
        assert chroma.to(torch.int32).unique().tolist() == [128 * unit]
    torch.testing.assert_close(form.to_rgb([luma, blue, red]), levels, atol=1e-6, rtol=0)


@given(
    colours=COLOURS,
    ceiling=st.floats(0.5, 60.0),
    knee=st.floats(0.1, 1.0),
    brightest=st.just(math.inf) | st.floats(0.5, 200.0),
    data=st.data(),
)
def test_the_roll_off_rises_stays_below_its_ceiling_and_keeps_hue(colours, ceiling, knee, brightest, data) -> None:
    curve = RollOff.below(ceiling, knee, brightest)
    light = min(brightest, 500.0) * colours
    rolled = roll_off(light, curve)
    assert rolled.min() >= 0 and rolled.max() <= ceiling and (rolled <= light * (1 + 1e-9)).all()
    largest, order = light.amax(dim=1).flatten().sort()
    assert (rolled.amax(dim=1).flatten()[order].diff() >= -1e-9).all()
    torch.testing.assert_close(rolled * light.amax(dim=1, keepdim=True), light * rolled.amax(dim=1, keepdim=True))
    if curve.start < math.inf:
        below = largest <= curve.start
        assert torch.equal(rolled.amax(dim=1).flatten()[order][below], largest[below].clamp_max(ceiling))
