"""The Resizer gives what core.resize gives in a script, for ever and on any thread."""

import resource
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import vapoursynth as vs

from vshdr.colour.h273 import ColourRange, Matrix, Primaries, Transfer
from vshdr.media.delivery import Delivery, linear_properties
from vshdr.media.signal import Signal, input_properties, sdr_arguments
from vshdr.media.zimg import Resizer

BT601 = Signal(matrix=Matrix.BT601, transfer=Transfer.BT601, primaries=Primaries.BT601, full_range=False)


def random_planes(format_id: int, width: int, height: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    video_format = vs.core.get_video_format(format_id)
    planes = []
    for number in range(video_format.num_planes):
        shape = (
            (height >> video_format.subsampling_h, width >> video_format.subsampling_w) if number else (height, width)
        )
        if video_format.sample_type == vs.FLOAT:
            planes.append((random.random(shape) * 4).astype(np.float32))
        else:
            dtype = np.uint8 if video_format.bits_per_sample == 8 else np.uint16
            planes.append(random.integers(0, 2**video_format.bits_per_sample, shape).astype(dtype))
    return planes


def in_a_script(format_id: int, planes: list[np.ndarray], properties: dict, arguments: dict) -> list[np.ndarray]:
    def fill(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        frame = f.copy()
        for number, plane in enumerate(planes):
            np.copyto(np.asarray(frame[number]), plane)
        return frame

    height, width = planes[0].shape
    clip = vs.core.std.BlankClip(format=format_id, width=width, height=height, length=1)
    clip = clip.std.ModifyFrame(clip, fill).std.SetFrameProps(**properties)
    frame = clip.resize.Bilinear(**arguments).get_frame(0)
    return [np.array(frame[number]) for number in range(frame.format.num_planes)]


@pytest.mark.parametrize("format_id", [vs.YUV420P8, vs.YUV422P10, vs.YUV444P16, vs.GRAY8])
def test_equals_core_resize_to_the_bit(format_id: int) -> None:
    planes = random_planes(format_id, 64, 36)
    properties, arguments = input_properties(BT601), sdr_arguments(BT601)
    resizer = Resizer(format_id, 64, 36, properties, arguments)
    for ours, theirs in zip(resizer(planes), in_a_script(format_id, planes, properties, arguments), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_linear_light_to_pq_equals_core_resize_to_the_bit() -> None:
    planes = random_planes(vs.RGBS, 64, 36)
    properties, arguments = linear_properties(Primaries.BT709), Delivery(output="pq").resize_arguments()
    resizer = Resizer(vs.RGBS, 64, 36, properties, arguments)
    for ours, theirs in zip(resizer(planes), in_a_script(vs.RGBS, planes, properties, arguments), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_takes_views_of_any_stride() -> None:
    planes = random_planes(vs.YUV444P8, 32, 24)
    packed = np.stack(planes, axis=-1)
    resizer = Resizer(vs.YUV444P8, 32, 24, input_properties(BT601), sdr_arguments(BT601))
    expected = [plane.copy() for plane in resizer(planes)]
    for ours, theirs in zip(resizer([packed[..., channel] for channel in range(3)]), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_thousand_frames_keep_their_order_and_leave_no_memory_behind() -> None:
    resizer = Resizer(vs.GRAY16, 640, 360, {"_Range": ColourRange.FULL}, {"format": vs.GRAYS})
    peak = 0
    for number in range(1000):
        (plane,) = resizer([np.full((360, 640), number * 60, np.uint16)])
        assert plane[7, 9] == pytest.approx(number * 60 / 65535, abs=1e-6)
        if number == 100:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # 900 frames of 0.9 MB each would be 800 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - peak < 50_000


def test_what_is_returned_outlives_the_next_call() -> None:
    resizer = Resizer(vs.GRAY8, 32, 32, {"_Range": ColourRange.FULL}, {"format": vs.GRAYS})
    first = resizer([np.full((32, 32), 255, np.uint8)])[0]
    resizer([np.zeros((32, 32), np.uint8)])
    assert (first == 1.0).all()


def test_several_instances_on_worker_threads() -> None:
    def work(level: int) -> float:
        resizer = Resizer(vs.GRAY8, 64, 64, {"_Range": ColourRange.FULL}, {"format": vs.GRAYS})
        return {float(resizer([np.full((64, 64), level, np.uint8)])[0].max()) for _ in range(20)}.pop()

    with ThreadPoolExecutor(4) as pool:
        levels = list(pool.map(work, range(0, 250, 10)))
    assert levels == pytest.approx([level / 255 for level in range(0, 250, 10)], abs=1e-6)


def test_an_impossible_conversion_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="core.resize cannot convert"):
        Resizer(vs.YUV420P8, 32, 32, {"_Matrix": Matrix.UNSPECIFIED}, {"format": vs.RGBS})
