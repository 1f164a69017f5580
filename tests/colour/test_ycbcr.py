"""Planes on tensors against zimg, which does the same on a CPU."""

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vshdr.colour.h273 import ChromaLocation, Matrix, Primaries, Transfer
from vshdr.colour.primaries import matrix_to_bt2020_nits
from vshdr.colour.transfer import encode_hdr
from vshdr.colour.ycbcr import LUMA_WEIGHTS, PlaneFormat, dither_pattern
from vshdr.media.delivery import Delivery
from vshdr.media.signal import Signal, input_properties, sdr_arguments
from vshdr.media.zimg import Resizer

WIDTH, HEIGHT = 70, 44


def random_planes(planes: PlaneFormat) -> list[np.ndarray]:
    """Smooth colours with noise, over all codes."""
    generator = np.random.default_rng(5)
    top = (1 << planes.bits) - 1
    return [generator.integers(0, top + 1, shape).astype(planes.numpy_dtype) for shape in planes.shapes()]


def as_tensors(arrays: list[np.ndarray]) -> list[torch.Tensor]:
    return [torch.from_numpy(array)[None] for array in arrays]


@pytest.mark.parametrize(
    ("preset", "matrix", "full", "location"),
    [
        *((vs.YUV420P8, Matrix.BT709, False, location) for location in ChromaLocation),
        *((vs.YUV444P12, matrix, False, ChromaLocation.LEFT) for matrix in LUMA_WEIGHTS),
        (vs.YUV422P8, Matrix.BT709, False, ChromaLocation.LEFT),
        (vs.YUV422P10, Matrix.BT2020_NCL, True, ChromaLocation.CENTER),
        (vs.YUV420P16, Matrix.BT709, True, ChromaLocation.LEFT),
        (vs.YUV440P8, Matrix.ST240, False, ChromaLocation.TOP),
        (vs.RGB24, Matrix.RGB, True, ChromaLocation.LEFT),
        (vs.RGB48, Matrix.RGB, False, ChromaLocation.LEFT),
    ],
)
def test_sdr_is_what_zimg_makes_of_it(preset, matrix, full, location):
    form = vs.core.get_video_format(preset)
    planes = PlaneFormat(
        width=WIDTH,
        height=HEIGHT,
        bits=form.bits_per_sample,
        matrix=matrix,
        full_range=full,
        subsampling=(form.subsampling_w, form.subsampling_h),
        chroma_location=location,
    )
    signal = Signal(matrix=matrix, transfer=Transfer.BT709, primaries=Primaries.BT709, full_range=full)
    properties = input_properties(signal) | {"_ChromaLocation": location}
    arrays = random_planes(planes)
    wanted = Resizer(int(preset), WIDTH, HEIGHT, properties, sdr_arguments(signal))(arrays)
    found = planes.to_rgb(as_tensors(arrays))
    torch.testing.assert_close(found[0], torch.from_numpy(np.stack(wanted)), atol=2e-5, rtol=0)


@pytest.mark.parametrize("dither", ["none", "ordered"])
@pytest.mark.parametrize("transfer", ["pq", "hlg"])
@pytest.mark.parametrize("preset", [vs.YUV420P10, vs.YUV422P12, vs.YUV444P16])
@pytest.mark.parametrize("primaries", [Primaries.BT709, Primaries.BT2020])
def test_delivery_is_what_zimg_makes_of_it(preset, transfer, primaries, dither):
    """Code for code, but where rounding falls between two; in sixteen bits a float has no more digits than that."""
    delivery = Delivery(output=transfer, format=int(preset), dither=dither, white=203.0, peak=1000.0)
    generator = torch.Generator().manual_seed(3)
    linear = torch.rand(1, 3, HEIGHT, WIDTH, generator=generator).pow(3) * 4.9
    linear[..., :6, :6] = 0.0
    properties = delivery.prepared_properties(primaries)
    resizer = Resizer(int(vs.RGBS), WIDTH, HEIGHT, properties, delivery.resize_arguments())
    wanted = resizer(list(delivery.prepare(linear, primaries)[0].numpy()))
    form = vs.core.get_video_format(preset)
    planes = PlaneFormat(
        width=WIDTH,
        height=HEIGHT,
        bits=form.bits_per_sample,
        matrix=Matrix.BT2020_NCL,
        full_range=False,
        subsampling=(form.subsampling_w, form.subsampling_h),
        chroma_location=ChromaLocation.TOP_LEFT,
    )
    code = encode_hdr(linear, transfer, matrix_to_bt2020_nits(203.0, primaries))
    found = planes.from_rgb(code, dither_pattern() if dither == "ordered" else None)
    step = 1 << (form.bits_per_sample - 10)  # a code of ten bits
    for plane, array in zip(found, wanted, strict=True):
        difference = np.abs(plane[0].numpy().astype(int) - array.astype(int))
        assert difference.max() <= step
        assert difference.mean() < 0.02 * step


def test_pq_is_monotonic_from_black_to_the_peak():
    light = torch.linspace(0, 49.3, 1000).view(1, 1, 1, -1).expand(1, 3, 1, 1000)
    code = encode_hdr(light, "pq", matrix_to_bt2020_nits(203.0, Primaries.BT709))
    assert code[0, :, 0, 0].abs().max() < 1e-6 and code.max() <= 1.0
    assert (code[0, 1, 0].diff() > 0).all()
