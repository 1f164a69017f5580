"""Batches of integer planes through an Expander's device and back, here on a CPU: the same steps, without streams and
graphs.
"""

import gc
import threading
import time
import weakref

import av
import numpy as np
import pytest
import torch
import vapoursynth as vs

from vshdr import Expander, convert, kernels
from vshdr.colour.h273 import Primaries
from vshdr.conversion import run as conversion_run
from vshdr.errors import NotFiniteError, OutOfMemoryError
from vshdr.expand import device_batches as device_batches_module
from vshdr.expand.backends import TorchBackend
from vshdr.expand.device_batches import MOST_IN_FLIGHT, DeviceBatches
from vshdr.expand.plane_conversion import plane_conversion
from vshdr.expand.staging import StagingBuffers
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery, linear_properties
from vshdr.media.read.device_planes import planes_of
from vshdr.media.read.pixels import layout_of
from vshdr.media.read.reader import open_source, read_sdr
from vshdr.media.zimg import Resizer

pytestmark = pytest.mark.usefixtures("one_thread")
NO_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda, NO_CUDA])]


@pytest.fixture
def source(clip_path):
    return open_source(clip_path)


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    """Twelve frames of a sky that is clipped, as most video is: H.264, 4:2:0."""
    path = tmp_path_factory.mktemp("device_batches") / "sky.mkv"
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=24, width=96, height=64, pix_fmt="yuv420p")
        stream.options = {"crf": "12"}
        for number in range(12):
            x, y = np.meshgrid(np.linspace(0, 1.2, 96), np.linspace(0, 1, 64))
            red = np.clip(x + 0.02 * number, 0, 1)
            picture = np.stack((red, np.clip(0.9 * x, 0, 1), np.clip(x - 0.2 * y, 0, 1)), axis=-1)
            frame = av.VideoFrame.from_ndarray((picture * 255).astype(np.uint8), format="rgb24")
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return path


@pytest.fixture
def planes_on_cpu(monkeypatch):
    """A CPU is sent integer planes, as only GPUs are."""
    monkeypatch.setattr("vshdr.expand.plane_conversion.PLANE_DEVICES", {"cpu"})


def conversion_of(source, delivery):
    return plane_conversion(source.format_id, (source.width, source.height), source.signal, source.properties, delivery)


def batches_of(source, device="cpu", batch=3, precision="fp32", **options) -> DeviceBatches:
    expander = Expander(device=device, eotf=source.signal.eotf, batch=batch, precision=precision, **options)
    conversion = conversion_of(source, Delivery(output="pq"))
    assert conversion is not None
    return DeviceBatches(expander, conversion, ContentLightMeter())


@pytest.mark.parametrize("device", DEVICES)
def test_codes_are_those_of_float_rgb_and_zimg(source, device):
    """Float RGB by zimg, the network, PQ by zimg: the route of a CPU."""
    batches, delivery = batches_of(source, device), Delivery(output="pq")
    frames = list(source)
    expander = Expander(eotf=source.signal.eotf, device="cpu", precision="fp32")
    resizer = Resizer(
        int(vs.RGBS), source.width, source.height, linear_properties(Primaries.BT709), delivery.resize_arguments()
    )
    meter = ContentLightMeter()
    decoded = [sdr for _, sdr in read_sdr(source)]
    for start in range(0, 12, 3):
        batch = batches.send([frame.planes for frame in frames[start : start + 3]])
        for number, (planes, counts) in enumerate(batch.frames(), start):
            linear = expander.expand(decoded[number][None])[0]
            for plane, wanted in zip(planes, resizer(list(linear.numpy())), strict=True):
                assert np.abs(plane.astype(int) - wanted.astype(int)).max() <= 1
            light, wanted = ContentLightMeter().add_counts(counts), meter.add(linear)
            assert light.brightest == pytest.approx(wanted.brightest, rel=1e-3)
            assert light.average == pytest.approx(wanted.average, rel=1e-3)


def test_a_short_batch_equals_the_first_frames_of_a_full_one(source):
    batches = batches_of(source)
    frames = [frame.planes for frame in source]
    full = [[plane.copy() for plane in planes] for planes, _ in batches.send(frames[:3]).frames()]
    (short,) = [planes for planes, _ in batches.send(frames[:1]).frames()]
    assert all(np.array_equal(one, other) for one, other in zip(short, full[0], strict=True))


def test_a_batch_keeps_its_memory_until_it_is_dropped(source):
    batches = batches_of(source, batch=1)
    frames = [frame.planes for frame in source]
    in_use = [batches.send([planes]) for planes in frames[:MOST_IN_FLIGHT]]
    first = [plane.copy() for plane in in_use[0].frames()[0][0]]
    more = []
    waiting = threading.Thread(target=lambda: more.append(batches.send([frames[MOST_IN_FLIGHT]])))
    waiting.start()
    waiting.join(0.2)
    assert not more  # there is no room until one is dropped
    assert all(np.array_equal(a, b) for a, b in zip(in_use[0].frames()[0][0], first, strict=True))
    in_use.pop(0)
    gc.collect()
    waiting.join(20)
    assert more


def test_what_is_not_finite_is_refused(source, monkeypatch):
    batches = batches_of(source, batch=1)
    monkeypatch.setattr(TorchBackend, "apply", lambda self, sdr, summary: torch.full_like(sdr, torch.nan))
    batch = batches.send([next(iter(source)).planes])
    with pytest.raises(NotFiniteError, match="not finite"):
        batch.frames()


def test_what_cannot_be_compiled_runs_as_it_is(source, monkeypatch):
    def broken(*tensors):
        raise RuntimeError("no compiler")

    plain = batches_of(source, batch=1)
    monkeypatch.setattr(torch, "compile", lambda function, **options: broken)
    fused = batches_of(source, batch=1, fuse=1)
    frame = next(iter(source)).planes
    with pytest.warns(UserWarning, match="cannot fuse the work.*no compiler"):
        batch = fused.send([frame])
    pairs = zip(batch.frames()[0][0], plain.send([frame]).frames()[0][0], strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_work_can_be_traced_as_one_graph(source, precision):
    """What torch.compile needs to fuse it; compiling itself takes a minute, and a GPU to pay."""
    batches = batches_of(source, batch=1, precision=precision)
    planes = [torch.from_numpy(np.ascontiguousarray(plane))[None] for plane in next(iter(source)).planes]
    with torch.no_grad(), kernels.disabled():
        traced = torch.compile(batches._work, dynamic=False, fullgraph=True, backend="eager")
        for one, other in zip(traced(*planes), batches._work(*planes), strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("changes", "delivery"),
    [
        ({"_FieldBased": 1}, {}),
        ({"_ChromaLocation": 9}, {}),
        ({}, {"dither": "error_diffusion"}),
        ({}, {"dither": "random"}),
        ({}, {"output": "linear"}),
    ],
)
def test_what_takes_zimg_is_not_converted_on_the_device(source, changes, delivery):
    assert conversion_of(source, Delivery(output="pq")) is not None
    source.properties.update(changes)
    assert conversion_of(source, Delivery(**{"output": "pq", **delivery})) is None


def decoded_codes(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv420p10le").astype(int) for frame in container.decode(video=0)]


def test_convert_sends_planes_and_writes_the_same_video(clip_path, tmp_path, monkeypatch):
    options = {"device": "cpu", "precision": "fp32", "codec": "ffv1", "batch": 2}
    by_zimg = convert(clip_path, tmp_path / "zimg.mkv", **options)
    sent = []
    send = DeviceBatches.send
    monkeypatch.setattr(
        DeviceBatches, "send", lambda self, frames, *a: sent.append(len(frames)) or send(self, frames, *a)
    )
    monkeypatch.setattr("vshdr.expand.plane_conversion.PLANE_DEVICES", {"cpu"})
    by_planes = convert(clip_path, tmp_path / "planes.mkv", **options)
    assert sent == [1] + [2] * 6  # a black one first, to see what fits
    assert by_planes.frames == by_zimg.frames == 12
    for one, other in zip(decoded_codes(tmp_path / "zimg.mkv"), decoded_codes(tmp_path / "planes.mkv"), strict=True):
        assert np.abs(one - other).max() <= 1
    assert by_planes.light["max_cll"] == pytest.approx(by_zimg.light["max_cll"], rel=1e-3)
    assert by_planes.light["percentile_99_9"] == pytest.approx(by_zimg.light["percentile_99_9"], rel=5e-3)


def test_devices_that_share_a_clip_agree_on_the_batch(clip_path, tmp_path, monkeypatch, planes_on_cpu):
    """A frame must round alike on each, so what one has no memory for no other does."""

    def two(options, devices, eotf):
        return [Expander("none", device="cpu", eotf=eotf, batch=4) for _ in range(2)]

    made: list[int] = []
    sent_by: dict[DeviceBatches, int] = {}
    initialise, send = DeviceBatches.__init__, DeviceBatches.send

    def short_of_memory(self, expander, *arguments):
        made.append(expander.batch)
        if len(made) in (2, 3):  # the second device, at 4 frames and at 2
            raise RuntimeError("CUDA out of memory")
        initialise(self, expander, *arguments)

    def counted(self, frames, *arguments):
        sent_by[self] = self.batch
        return send(self, frames, *arguments)

    monkeypatch.setattr("vshdr.conversion.run._expanders", two)
    monkeypatch.setattr(DeviceBatches, "__init__", short_of_memory)
    monkeypatch.setattr(DeviceBatches, "send", counted)
    convert(clip_path, tmp_path / "shared.mkv", codec="ffv1")
    assert made == [4, 4, 2, 1, 1, 1]  # the first at 4, the second down to 1, then both again
    assert list(sent_by.values())[-2:] == [1, 1]


def test_convert_sends_float_rgb_where_an_output_needs_light(clip_path, tmp_path, monkeypatch, planes_on_cpu):
    monkeypatch.setattr(DeviceBatches, "send", lambda *a: pytest.fail("sent as planes"))
    convert(clip_path, tmp_path / "shot.####.exr", tmp_path / "video.mkv", device="cpu", model="none", codec="ffv1")
    convert(clip_path, tmp_path / "smooth.mkv", device="cpu", model="none", codec="ffv1", smooth=1)


@pytest.mark.parametrize("options", [{}, {"smooth": 1}])
@pytest.mark.parametrize("kinds", [set(), {"cpu"}])
def test_devices_that_share_a_clip_give_what_one_gives(clip_path, tmp_path, monkeypatch, kinds, options):
    """Two expanders stand for two GPUs."""
    options = {"device": "cpu", "codec": "ffv1", "batch": 2, **options}
    monkeypatch.setattr("vshdr.expand.plane_conversion.PLANE_DEVICES", kinds)
    alone = convert(clip_path, tmp_path / "alone.mkv", **options)
    one = conversion_run._expanders
    monkeypatch.setattr(conversion_run, "_expanders", lambda *arguments: [*one(*arguments), *one(*arguments)])
    shared = convert(clip_path, tmp_path / "shared.mkv", **options)
    assert shared.frames == alone.frames == 12 and shared.light == alone.light
    pairs = zip(decoded_codes(tmp_path / "alone.mkv"), decoded_codes(tmp_path / "shared.mkv"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("devices", ["0;1", "a", "-1", "0,"])
def test_devices_that_are_no_list_of_numbers(clip_path, tmp_path, devices):
    with pytest.raises(ValueError, match="devices must be numbers with commas between"):
        convert(clip_path, tmp_path / "a.mkv", devices=devices)


def test_devices_of_a_cpu(clip_path, tmp_path):
    with pytest.raises(ValueError, match="devices 0,1 are CUDA devices"):
        convert(clip_path, tmp_path / "a.mkv", devices="0,1", device="cpu")


@pytest.mark.parametrize(("form", "output"), [(vs.YUV420P8, "pq"), (vs.YUV422P10, "hlg"), (vs.RGB24, "pq")])
@pytest.mark.parametrize("batch", [1, 3])
def test_the_plugin_sends_planes_and_describes_them_alike(monkeypatch, form, output, batch):
    """Many requests at a time, as several batches may be in flight."""
    core = vs.core
    blank = core.std.BlankClip(format=form, width=96, height=64, length=10, color=[200, 120, 140])
    clip = core.std.Expr(blank, "x 10 -") if form == vs.RGB24 else blank
    clip = core.std.SetFrameProps(clip, _ChromaLocation=1)

    def rendered():
        expanded = core.hdr.Expand(clip, model="bt2446a", output=output, device="cpu", batch=batch)
        return [([np.asarray(f[p]).astype(int) for p in range(3)], dict(f.props)) for f in expanded.frames()]

    by_zimg = rendered()
    monkeypatch.setattr("vshdr.expand.plane_conversion.PLANE_DEVICES", {"cpu"})
    sent = []
    send = DeviceBatches.send
    monkeypatch.setattr(DeviceBatches, "send", lambda self, frames: sent.append(len(frames)) or send(self, frames))
    by_planes = rendered()
    assert sum(sent) == 11  # and a black one first
    for (planes, properties), (others, wanted) in zip(by_planes, by_zimg, strict=True):
        assert properties == wanted
        assert max(np.abs(one - other).max() for one, other in zip(planes, others, strict=True)) <= 1


def test_the_plugin_converts_by_zimg_what_the_device_does_not(monkeypatch, planes_on_cpu):
    monkeypatch.setattr(DeviceBatches, "send", lambda *a: pytest.fail("sent as planes"))
    grey = vs.core.std.BlankClip(format=vs.GRAY8, width=96, height=64, length=1, color=200)
    for options in ({"output": "pq", "dither": "error_diffusion"}, {}, {"output": "pq", "smooth": 1}):
        vs.core.hdr.Expand(grey, model="none", device="cpu", **options).get_frame(0).close()


def test_an_encoder_that_fails_stops_the_conversion(clip_path, tmp_path, monkeypatch, planes_on_cpu):
    """While all batches are in use, and one waits for room."""
    written = []

    def full(self, planes, pts, duration=0):
        written.append(pts)
        time.sleep(0.3)  # slower than the network, as encoders are
        if len(written) == 4:
            raise OSError("no space left on device")

    monkeypatch.setattr("vshdr.conversion.outputs.VideoWriter.write", full)
    with pytest.raises(OSError, match="no space left"):
        convert(clip_path, tmp_path / "a.mkv", device="cpu", model="none", codec="ffv1", batch=1)


def test_memory_is_freed_with_the_last_user(source):
    """Also that on the device, without waiting for a garbage collection."""
    batches = batches_of(source, batch=1)
    batches.send([next(iter(source)).planes]).frames()
    gone = weakref.ref(batches)
    del batches
    assert gone() is None


def test_where_memory_is_short_batches_are_smaller_from_the_start(source, monkeypatch):
    def short_of_memory(room):
        class Short(StagingBuffers):
            def __init__(self, batch, *rest):
                if batch > room:
                    raise RuntimeError("CUDA error: out of memory")
                super().__init__(batch, *rest)

        return Short

    expander, conversion = Expander("none", device="cpu", batch=8), conversion_of(source, Delivery(output="pq"))
    monkeypatch.setattr(device_batches_module, "StagingBuffers", short_of_memory(2))
    assert DeviceBatches.largest(expander, conversion).batch == expander.batch == 2
    monkeypatch.setattr(device_batches_module, "StagingBuffers", short_of_memory(0))
    assert DeviceBatches.largest(expander, conversion) is None


def test_memory_that_runs_out_later_is_an_error_and_the_batch_stays(source, monkeypatch):
    batches = batches_of(source)
    frames = [frame.planes for frame in source]
    batches.send(frames[:3]).frames()

    def starve(self, sdr, summary):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(TorchBackend, "apply", starve)
    with pytest.raises(OutOfMemoryError, match="ran out of memory on 96x64 frames; lower batch"):
        batches.send(frames[:3])
    monkeypatch.undo()
    assert len(batches.send(frames[:3]).frames()) == batches.batch == 3


@pytest.mark.parametrize("form", ["yuv420p", "nv12", "yuv420p10le", "p010le"])
def test_planes_are_those_of_the_decoder_however_they_lie(form):
    """Two planes are what hardware gives: Cb and Cr side by side, ten bits at the top of sixteen."""
    generator = np.random.default_rng(1)
    frame = av.VideoFrame(96, 64, "yuv420p10le" if "10" in form else "yuv420p")
    bits = 10 if "10" in form else 8
    for plane in frame.planes:
        kind = np.uint16 if bits == 10 else np.uint8
        samples = np.frombuffer(plane, kind)
        samples[:] = generator.integers(0, 1 << bits, samples.shape)
    wanted = [plane.copy() for plane in layout_of(frame.format.name).planes(frame)]
    found = planes_of(frame.reformat(format=form, threads=1), bits)
    for plane, array in zip(found, wanted, strict=True):
        assert plane.is_contiguous() and np.array_equal(plane.numpy(), array)


def test_frames_that_lie_on_the_device_give_the_same(source):
    batches = batches_of(source)
    there = list(source.on_device(torch.device("cpu")))
    here = list(source)
    assert [(frame.pts, frame.duration) for frame in there] == [(frame.pts, frame.duration) for frame in here]
    for start, end in ((0, 3), (3, 4)):
        one, other = (batches.send([frame.planes for frame in frames[start:end]]) for frames in (there, here))
        for (planes, counts), (others, more) in zip(one.frames(), other.frames(), strict=True):
            assert torch.equal(counts, more)
            assert all(np.array_equal(a, b) for a, b in zip(planes, others, strict=True))


@pytest.mark.parametrize("possible", [True, False])
def test_convert_decodes_on_the_device_where_that_is_possible(
    clip_path, tmp_path, monkeypatch, possible, planes_on_cpu
):
    options = {"device": "cpu", "codec": "ffv1", "model": "none"}

    def no_hardware(*arguments):
        raise RuntimeError("unsupported sw_format for DLPack export")

    convert(clip_path, tmp_path / "software.mkv", **options)
    if not possible:
        monkeypatch.setattr("vshdr.media.read.video_source.planes_of", no_hardware)
    done = convert(clip_path, tmp_path / "hardware.mkv", hardware_decode=True, **options)
    assert any("GPU's decoder does not take" in note for note in done.notes) != possible
    pairs = zip(decoded_codes(tmp_path / "software.mkv"), decoded_codes(tmp_path / "hardware.mkv"), strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


def test_outputs_that_need_the_cpu_say_that_it_decoded(clip_path, tmp_path, monkeypatch):
    done = convert(clip_path, tmp_path / "a.####.exr", model="none", device="cpu", hardware_decode=True)
    assert any("pass through the CPU" in note for note in done.notes)
