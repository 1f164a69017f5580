"""core.hdr.Expand in this process: formats, properties, errors, batches and the order of requests."""

import hashlib
import inspect
import random
from collections import Counter
from dataclasses import fields

import numpy as np
import pytest
import torch
import vapoursynth as vs

from vshdr.options.expand import ExpandOptions
from vshdr.options.plugin import ClipOptions
from vshdr.plugin.core import Hdr, core

CODE = (0.75, 0.5, 0.25)


def constant(colour=CODE, format: int = vs.RGBS, size: tuple[int, int] = (16, 8), length: int = 2) -> vs.VideoNode:
    """A clip of one RGB colour in any format, made from float RGB; sRGB-labelled where it stays RGB."""
    clip = core.std.BlankClip(width=size[0], height=size[1], format=vs.RGBS, color=list(colour), length=length)
    yuv = core.get_video_format(format).color_family != vs.RGB
    return core.resize.Bilinear(clip, format=format, **({"matrix_s": "709"} if yuv else {}))


def moving(length: int = 10, format: int = vs.YUV420P8, calls: list[int] | None = None) -> vs.VideoNode:
    """A clip whose frames all differ, made by Python so that the plugin and a Python filter share the interpreter."""
    blank = core.std.BlankClip(width=48, height=32, format=format, length=length)

    def draw(n: int, f: vs.VideoFrame) -> vs.VideoFrame:
        if calls is not None:
            calls.append(n)
        frame = f.copy()
        for plane in range(frame.format.num_planes):
            target = np.asarray(frame[plane])
            target[:] = np.random.default_rng(100 * n + plane).integers(16, 236, target.shape)
        frame.props["number"] = n
        return frame

    return core.std.ModifyFrame(blank, blank, draw)


def pixels(frame: vs.VideoFrame) -> np.ndarray:
    return np.stack([np.array(frame[plane]) for plane in range(frame.format.num_planes)])


def digest(frame: vs.VideoFrame) -> str:
    return hashlib.sha256(
        b"".join(np.ascontiguousarray(frame[plane]) for plane in range(frame.format.num_planes))
    ).hexdigest()


def digests(clip: vs.VideoNode, order) -> dict[int, str]:
    return {n: digest(clip.get_frame(n)) for n in order}


def registered(function: str) -> list[str]:
    """The arguments of a function of the plugin, in order."""
    signature: str = getattr(core.hdr, function).signature
    return [argument.split(":")[0] for argument in signature.split(";") if argument]


def test_arguments_are_the_shared_options_and_the_plugins_own():
    names = registered("Expand")
    assert names[:2] == ["clip", "gamma"]
    assert sorted(names[1:]) == sorted(field.name for cls in (ExpandOptions, ClipOptions) for field in fields(cls))


def test_the_typed_functions_are_those_of_the_plugin():
    for function in ("Expand", "Flicker", "Version"):
        described = inspect.signature(getattr(Hdr, function)).parameters
        assert list(described)[1:] == registered(function)
    defaults = {field.name: field.default for cls in (ExpandOptions, ClipOptions) for field in fields(cls)}
    described = inspect.signature(Hdr.Expand).parameters
    assert {name: described[name].default for name in defaults} == defaults


def test_second_positional_argument_is_gamma():
    clip = constant()
    assert digest(core.hdr.Expand(clip, 1.2).get_frame(0)) == digest(core.hdr.Expand(clip, gamma=1.2).get_frame(0))
    assert digest(core.hdr.Expand(clip, 1.2).get_frame(0)) != digest(core.hdr.Expand(clip).get_frame(0))


RGB_FORMATS = (vs.RGB24, vs.RGB27, vs.RGB30, vs.RGB36, vs.RGB42, vs.RGB48, vs.RGBH, vs.RGBS)
YUV_FORMATS = tuple(
    getattr(vs, f"YUV{sampling}P{depth}") for sampling in (420, 422, 444) for depth in (8, 9, 10, 12, 14, 16, "H", "S")
)
GRAY_FORMATS = (vs.GRAY8, vs.GRAY9, vs.GRAY10, vs.GRAY12, vs.GRAY14, vs.GRAY16, vs.GRAYH, vs.GRAYS)


@pytest.mark.parametrize(
    "format", RGB_FORMATS + YUV_FORMATS + GRAY_FORMATS, ids=lambda format: vs.PresetVideoFormat(format).name
)
def test_every_format_becomes_linear_light(format):
    family = core.get_video_format(format).color_family
    code = np.full(3, 0.5) if family == vs.GRAY else np.array(CODE)
    srgb = np.where(code <= 0.04045, code / 12.92, ((code + 0.055) / 1.055) ** 2.4)
    expected = srgb if family == vs.RGB else code**2.4

    frame = core.hdr.Expand(constant(code, format), model="none").get_frame(1)

    assert frame.format.id == vs.RGBS
    bits = (
        frame.format.bits_per_sample
        if core.get_video_format(format).sample_type == vs.FLOAT
        else core.get_video_format(format).bits_per_sample
    )
    tolerance = 2e-3 if format in (vs.RGBH, vs.GRAYH) or bits >= 10 else 2e-2
    if core.get_video_format(format).bits_per_sample == 16 and core.get_video_format(format).sample_type == vs.INTEGER:
        tolerance = 1e-4
    np.testing.assert_allclose(pixels(frame).mean(axis=(1, 2)), expected, atol=tolerance)


@pytest.mark.parametrize("format", [vs.RGB48, vs.GRAY16, vs.RGBS])
def test_no_step_is_lost_to_eight_bits(format):
    clip = core.std.BlankClip(width=512, height=1, format=format, length=1)
    integer = clip.format.sample_type == vs.INTEGER

    def ramp(n, f):
        frame = f.copy()
        for plane in range(frame.format.num_planes):
            codes = 32000 + np.arange(512)
            np.asarray(frame[plane])[:] = codes if integer else codes / 65535
        return frame

    linear = pixels(core.hdr.Expand(core.std.ModifyFrame(clip, clip, ramp), model="none").get_frame(0))
    assert all(np.all(np.diff(channel[0]) > 0) for channel in linear)


def test_named_colours_are_honoured():
    """Limited-range RGB, a gamma 2.2 display and a wide gamut all say so in their properties."""
    limited = core.std.SetFrameProps(core.std.BlankClip(format=vs.RGB24, color=[235, 16, 126], length=1), _Range=0)
    frame = core.hdr.Expand(limited, model="none").get_frame(0)
    np.testing.assert_allclose(pixels(frame)[:, 0, 0], [1.0, 0.0, ((110 / 219 + 0.055) / 1.055) ** 2.4], atol=1e-3)

    gamma22 = core.std.SetFrameProps(constant(format=vs.RGBS, length=1), _Transfer=4)
    np.testing.assert_allclose(
        pixels(core.hdr.Expand(gamma22, model="none").get_frame(0))[:, 0, 0], np.array(CODE) ** 2.2, atol=1e-4
    )

    wide = core.std.SetFrameProps(constant(format=vs.RGBS, length=1), _Primaries=9)
    assert core.hdr.Expand(wide, model="none").get_frame(0).props["_Primaries"] == 9


@pytest.mark.parametrize(
    "label", [{"_Transfer": 11}, {"_Transfer": 12}, {"_Transfer": 0}, {"_Matrix": 0}, {"_Primaries": 3}, {"_Matrix": 3}]
)
def test_bt709s_relatives_and_reserved_numbers_are_taken_for_bt709(label):
    clip = constant(format=vs.YUV444P16)
    labelled = core.hdr.Expand(core.std.SetFrameProps(clip, **label), model="none").get_frame(0)
    np.testing.assert_array_equal(pixels(labelled), pixels(core.hdr.Expand(clip, model="none").get_frame(0)))


def test_linear_properties_and_those_of_the_source():
    alpha = core.std.BlankClip(format=vs.GRAY8, width=64, height=48, length=3)
    clip = core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=3, fpsnum=30000, fpsden=1001)
    clip = core.std.ClipToProp(clip, alpha)
    clip = core.std.SetFrameProps(
        clip,
        _ChromaLocation=0,
        _SceneChangePrev=1,
        _AbsoluteTime=1.5,
        note="kept",
        curve=[1.0, 2.0],
        MasteringDisplayMaxLuminance=4000.0,
        ContentLightLevelMax=4000,
    )
    props = core.hdr.Expand(clip, model="none").get_frame(2).props
    assert (props["_Matrix"], props["_Transfer"], props["_Primaries"], props["_Range"]) == (0, 8, 1, 1)
    assert (props["_DurationNum"], props["_DurationDen"]) == (1001, 30000)
    assert (props["_SceneChangePrev"], props["_AbsoluteTime"], props["curve"]) == (1, 1.5, [1.0, 2.0])
    assert props["note"] in (b"kept", "kept")
    assert isinstance(props["_Alpha"], vs.VideoFrame)
    assert not {"_ChromaLocation", "MasteringDisplayMaxLuminance", "ContentLightLevelMax"} & set(props)


@pytest.mark.parametrize(("output", "transfer"), [("pq", 16), ("hlg", 18)])
@pytest.mark.parametrize("format", [0, vs.YUV420P12, vs.YUV422P10, vs.YUV444P12])
def test_delivered_properties(output, transfer, format):
    clip = core.std.SetFrameProps(constant(format=vs.YUV420P8), number=7)
    delivered = core.hdr.Expand(clip, model="none", output=output, format=format, peak=800.0)
    props = delivered.get_frame(0).props
    assert delivered.format.id == (format or vs.YUV420P10)
    assert (props["_Matrix"], props["_Transfer"], props["_Primaries"], props["_Range"]) == (9, transfer, 9, 0)
    assert props["number"] == 7
    if delivered.format.subsampling_w:
        assert props["_ChromaLocation"] == 2
    if output == "pq":
        assert props["MasteringDisplayMaxLuminance"] == 800.0
        assert props["MasteringDisplayPrimariesX"] == pytest.approx([0.68, 0.265, 0.15])
    else:
        assert "MasteringDisplayMaxLuminance" not in props


def test_white_is_203_nits_in_pq():
    frame = core.hdr.Expand(constant((1.0, 1.0, 1.0)), model="none", output="pq", format=vs.YUV444P12).get_frame(0)
    assert np.asarray(frame[0])[0, 0] == pytest.approx(16 * 16 + 0.5807 * 219 * 16, abs=3)  # BT.2408: 58 % PQ


def test_half_precision_output():
    whole, half = (core.hdr.Expand(constant(), model="none", format=format) for format in (vs.RGBS, vs.RGBH))
    assert half.format.id == vs.RGBH
    np.testing.assert_array_equal(pixels(half.get_frame(0)), pixels(whole.get_frame(0)).astype(np.float16))


def test_hdr_labels_are_ignored_when_allowed():
    clip = core.std.SetFrameProps(constant(format=vs.YUV444P16), _Transfer=16)
    frame = core.hdr.Expand(clip, model="none", allow_hdr=1).get_frame(0)
    np.testing.assert_allclose(pixels(frame)[:, 0, 0], np.array(CODE) ** 2.4, atol=1e-3)


def failing(n, f):
    raise ValueError("no such frame")


def mixed() -> vs.VideoNode:
    return core.std.Splice([constant(), constant(size=(32, 8))], mismatch=True)


@pytest.mark.parametrize(
    ("clip", "arguments", "says"),
    [
        (constant, {"model": "nonsense"}, "unknown model 'nonsense'"),
        (constant, {"model": "none", "weights": "some.pth"}, "without weights"),
        (constant, {"model": "expandnet", "weights": "/nowhere/some.pth"}, "/nowhere/some.pth"),
        (constant, {"gamma": 9.0}, "gamma"),
        (constant, {"white": 1.0}, "white"),
        (constant, {"peak": 100.0}, "peak"),
        (constant, {"strength": -1.0}, "strength"),
        (constant, {"strength": float("nan")}, "strength"),
        (constant, {"device": "tpu"}, "device"),
        (constant, {"precision": "int8"}, "precision"),
        (constant, {"batch": -1}, "batch"),
        (constant, {"tile": [64]}, "tile"),
        (constant, {"tile": [64, 64, 64]}, "tile"),
        (constant, {"overlap": -2}, "overlap"),
        (constant, {"prefetch": 99}, "prefetch"),
        (constant, {"allow_hdr": 2}, "allow_hdr"),
        (constant, {"output": "sdr"}, "output"),
        (constant, {"output": "pq", "format": int(vs.YUV420P8)}, "format"),
        (constant, {"output": "linear", "format": int(vs.YUV420P10)}, "format"),
        (constant, {"output": "pq", "format": 12345}, "format"),
        (constant, {"output": "pq", "dither": "sierra"}, "dither"),
        (constant, {"output": "hlg", "peak": 4000.0}, "hlg"),
        (lambda: constant(size=(15, 9)), {"output": "pq"}, "15x9"),
        (constant, {"output": "hlg", "peak": 0.0}, "not 0, no limit"),
        (lambda: core.std.SetFrameProps(constant(), _Transfer=16), {}, "PQ"),
        (lambda: core.std.SetFrameProps(constant(), _Transfer=18), {}, "HLG"),
        (lambda: core.std.SetFrameProps(constant(), _Transfer=10), {}, "transfer 10"),
        (mixed, {}, "constant format and resolution"),
        (lambda: core.std.ModifyFrame(constant(), constant(), failing), {}, "no such frame"),
    ],
)
def test_what_cannot_work_is_refused_at_once(clip, arguments, says):
    with pytest.raises(vs.Error) as caught:
        core.hdr.Expand(clip(), **arguments)
    message = str(caught.value)
    assert message.startswith("Expand: ") and says in message


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_missing_device_is_refused_at_once():
    with pytest.raises(vs.Error, match="Expand: .*CUDA"):
        core.hdr.Expand(constant(), device="cuda")


def test_a_change_of_colours_is_refused_at_its_frame():
    late = core.std.SetFrameProps(constant(format=vs.YUV420P8, length=3), _Matrix=9)
    clip = constant(format=vs.YUV420P8, length=5) + late
    expanded = core.hdr.Expand(clip, model="none", prefetch=0)
    expanded.get_frame(4)
    with pytest.raises(vs.Error, match=r"^Expand: frame 6: the colour description changes .*_Matrix from 1 to 9"):
        expanded.get_frame(6)


def test_saying_the_default_is_no_change():
    said = core.std.SetFrameProps(constant(format=vs.YUV420P8, length=2), _Matrix=1, _Transfer=1, _Primaries=1)
    clip = core.std.RemoveFrameProps(said, ["_Matrix", "_Transfer", "_Primaries"]) + said
    expanded = core.hdr.Expand(clip, model="none")
    assert digest(expanded.get_frame(0)) == digest(expanded.get_frame(3))


@pytest.mark.parametrize(("batch", "where"), [(1, "frame 5"), (3, "frames 3-5"), (4, "frames 4-6")])
def test_what_is_not_finite_is_refused_with_its_frames(batch, where):
    good = constant(length=5)
    clip = good + core.std.Expr(constant(length=1), "0 log 0 *") + constant(length=1)
    expanded = core.hdr.Expand(clip, model="none", device="cpu", batch=batch, prefetch=0)
    expanded.get_frame(0)
    with pytest.raises(vs.Error, match=f"^Expand: {where}: .*not finite"):
        expanded.get_frame(5)


@pytest.mark.parametrize("model", ["none", "bt2446a", "expandmap"])
def test_output_does_not_depend_on_batch_or_order(model):
    length = 10
    reference = digests(core.hdr.Expand(moving(length), model=model, device="cpu", batch=1), range(length))
    assert len(set(reference.values())) == length
    shuffled = random.Random(3).choices(range(length), k=3 * length)
    for batch in (1, 3, 8):
        for order in (range(length), reversed(range(length)), shuffled):
            expanded = core.hdr.Expand(moving(length), model=model, device="cpu", batch=batch)
            assert digests(expanded, order).items() <= reference.items(), (batch, order)


def test_frames_in_flight_at_once_are_the_same_frames():
    length = 40
    reference = digests(core.hdr.Expand(moving(length), model="none", device="cpu", batch=1), range(length))
    for batch in (1, 3, 8):
        expanded = core.hdr.Expand(moving(length), model="none", device="cpu", batch=batch)
        requests = {n: expanded.get_frame_async(n) for n in random.Random(batch).sample(range(length), length)}
        frames = {n: request.result() for n, request in requests.items()}
        assert {n: digest(frame) for n, frame in frames.items()} == reference
        assert all(frame.props["number"] == n for n, frame in frames.items())


@pytest.mark.parametrize("batch", [1, 3, 8])
def test_linear_access_decodes_each_frame_once(batch):
    calls: list[int] = []
    expanded = core.hdr.Expand(moving(20, calls=calls), model="none", device="cpu", batch=batch, prefetch=2)
    calls.clear()  # the first frame was looked at for its properties
    for n in range(20):
        expanded.get_frame(n)
    assert Counter(calls) == Counter(range(20))


@pytest.mark.parametrize(("prefetch", "decoded"), [(0, 4), (1, 8), (2, 12)])
def test_prefetch_counts_batches_decoded_ahead(prefetch, decoded):
    calls: list[int] = []
    expanded = core.hdr.Expand(moving(20, calls=calls), model="none", device="cpu", batch=4, prefetch=prefetch)
    expanded.get_frame(1)
    assert set(calls) == set(range(decoded))


def test_one_batch_may_be_longer_than_the_clip():
    expanded = core.hdr.Expand(moving(2), model="none", device="cpu", batch=64)
    assert digests(expanded, [1, 0]) == digests(core.hdr.Expand(moving(2), model="none", device="cpu"), [1, 0])


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (101, 53)])
def test_any_size(size):
    frame = core.hdr.Expand(constant(format=vs.RGB24, size=size)).get_frame(0)
    assert (frame.width, frame.height) == size
