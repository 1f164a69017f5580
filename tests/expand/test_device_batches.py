"""Planes through an Expander on its device and back, here on a CPU: the same steps, without streams and graphs."""

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
from vshdr.conversion import run as pipeline
from vshdr.expand import device_batches as device_batches_module
from vshdr.expand.device_batches import MOST_IN_FLIGHT, DeviceBatches, plane_conversion
from vshdr.media.content_light import ContentLightMeter
from vshdr.media.delivery import Delivery, linear_properties
from vshdr.media.read.device_planes import planes_of
from vshdr.media.read.pixels import layout_of
from vshdr.media.read.reader import open_source, read_sdr
from vshdr.media.zimg import Resizer

pytestmark = pytest.mark.usefixtures("one_thread")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.cuda)]


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


def way(source, delivery):
    return plane_conversion(source.format_id, (source.width, source.height), source.signal, source.properties, delivery)


def device_batches_of(source, device="cpu", batch=3, precision="fp32", **options) -> tuple[DeviceBatches, Delivery]:
    delivery = Delivery(output="pq")
    expander = Expander(device=device, eotf=source.signal.eotf, batch=batch, precision=precision, **options)
    return DeviceBatches(expander, way(source, delivery), ContentLightMeter()), delivery


@pytest.mark.parametrize("device", DEVICES)
def test_codes_are_those_of_the_other_way(source, device):
    """Float RGB by zimg, the network, PQ by zimg: the way of a CPU."""
    device_batches, delivery = device_batches_of(source, device)
    frames = list(source)
    expander = Expander(eotf=source.signal.eotf, device="cpu", precision="fp32")
    resizer = Resizer(
        int(vs.RGBS), source.width, source.height, linear_properties(Primaries.BT709), delivery.resize_arguments()
    )
    meter = ContentLightMeter()
    decoded = [sdr for _, sdr in read_sdr(source)]
    for start in range(0, 12, 3):
        load = device_batches.send([frame.planes for frame in frames[start : start + 3]])
        for number, (planes, counts) in enumerate(load.frames(), start):
            linear = expander.expand(decoded[number][None])[0]
            for plane, wanted in zip(planes, resizer(list(linear.numpy())), strict=True):
                assert np.abs(plane.astype(int) - wanted.astype(int)).max() <= 1
            light, wanted = ContentLightMeter().add_counts(counts), meter.add(linear)
            assert light.brightest == pytest.approx(wanted.brightest, rel=1e-3)
            assert light.average == pytest.approx(wanted.average, rel=1e-3)


def test_a_short_load_is_its_part_of_a_full_one(source):
    device_batches, _ = device_batches_of(source)
    frames = [frame.planes for frame in source]
    full = [[plane.copy() for plane in planes] for planes, _ in device_batches.send(frames[:3]).frames()]
    (short,) = [planes for planes, _ in device_batches.send(frames[:1]).frames()]
    assert all(np.array_equal(one, other) for one, other in zip(short, full[0], strict=True))


def test_loads_keep_what_they_hold_until_they_are_dropped(source):
    device_batches, _ = device_batches_of(source, batch=1)
    frames = [frame.planes for frame in source]
    held = [device_batches.send([planes]) for planes in frames[:MOST_IN_FLIGHT]]
    first = [plane.copy() for plane in held[0].frames()[0][0]]
    more = []
    waiting = threading.Thread(target=lambda: more.append(device_batches.send([frames[MOST_IN_FLIGHT]])))
    waiting.start()
    waiting.join(0.2)
    assert not more  # there is no room until one is dropped
    assert all(np.array_equal(a, b) for a, b in zip(held[0].frames()[0][0], first, strict=True))
    held.pop(0)
    gc.collect()
    waiting.join(20)
    assert more


def test_what_is_not_finite_is_refused(source, monkeypatch):
    device_batches, _ = device_batches_of(source, batch=1)
    monkeypatch.setattr(Expander, "_light", lambda self, code, size: torch.full_like(code, torch.nan))
    load = device_batches.send([next(iter(source)).planes])
    with pytest.raises(RuntimeError, match="not finite"):
        load.frames()


def test_what_cannot_be_compiled_runs_as_it_is(source, monkeypatch):
    def broken(*tensors):
        raise RuntimeError("no compiler")

    plain, _ = device_batches_of(source, batch=1)
    monkeypatch.setattr(torch, "compile", lambda function, **options: broken)
    fused, _ = device_batches_of(source, batch=1, fuse=1)
    frame = next(iter(source)).planes
    with pytest.warns(UserWarning, match="cannot fuse the work.*no compiler"):
        load = fused.send([frame])
    pairs = zip(load.frames()[0][0], plain.send([frame]).frames()[0][0], strict=True)
    assert all(np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_work_can_be_traced_as_one_graph(source, precision):
    """What torch.compile needs to fuse it; compiling itself takes a minute, and a GPU to pay."""
    device_batches, _ = device_batches_of(source, batch=1, precision=precision)
    planes = [torch.from_numpy(np.ascontiguousarray(plane))[None] for plane in next(iter(source)).planes]
    with torch.no_grad(), kernels.disabled():
        traced = torch.compile(device_batches._work, dynamic=False, fullgraph=True, backend="eager")
        for one, other in zip(traced(*planes), device_batches._work(*planes), strict=True):
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
    assert way(source, Delivery(output="pq")) is not None
    source.properties.update(changes)
    assert way(source, Delivery(**{"output": "pq", **delivery})) is None


def decoded_codes(path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="yuv420p10le").astype(int) for frame in container.decode(video=0)]


def test_convert_takes_device_batches_and_writes_the_same_video(clip_path, tmp_path, monkeypatch):
    options = {"device": "cpu", "precision": "fp32", "codec": "ffv1", "batch": 2}
    by_zimg = convert(clip_path, tmp_path / "zimg.mkv", **options)
    sent = []
    send = DeviceBatches.send
    monkeypatch.setattr(
        DeviceBatches, "send", lambda self, frames, *a: sent.append(len(frames)) or send(self, frames, *a)
    )
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
    carried = convert(clip_path, tmp_path / "carried.mkv", **options)
    assert sent == [1] + [2] * 6  # an empty one first, to see what fits
    assert carried.frames == by_zimg.frames == 12
    for one, other in zip(decoded_codes(tmp_path / "zimg.mkv"), decoded_codes(tmp_path / "carried.mkv"), strict=True):
        assert np.abs(one - other).max() <= 1
    assert carried.light["max_cll"] == pytest.approx(by_zimg.light["max_cll"], rel=1e-3)
    assert carried.light["percentile_99_9"] == pytest.approx(by_zimg.light["percentile_99_9"], rel=5e-3)


def test_convert_leaves_device_batches_where_light_is_wanted(clip_path, tmp_path, monkeypatch):
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
    monkeypatch.setattr(DeviceBatches, "send", lambda *a: pytest.fail("carried as planes"))
    convert(clip_path, tmp_path / "shot.####.exr", tmp_path / "video.mkv", device="cpu", model="none", codec="ffv1")
    convert(clip_path, tmp_path / "smooth.mkv", device="cpu", model="none", codec="ffv1", smooth=1)


@pytest.mark.parametrize("options", [{}, {"smooth": 1}])
@pytest.mark.parametrize("carried", [False, True])
def test_devices_that_share_a_clip_give_what_one_gives(clip_path, tmp_path, monkeypatch, carried, options):
    """Two expanders stand for two GPUs."""
    options = {"device": "cpu", "codec": "ffv1", "batch": 2, **options}
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"} if carried else set())
    alone = convert(clip_path, tmp_path / "alone.mkv", **options)
    one = pipeline._expanders
    monkeypatch.setattr(pipeline, "_expanders", lambda *arguments: [*one(*arguments), *one(*arguments)])
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
def test_the_plugin_carries_planes_and_describes_them_alike(monkeypatch, form, output, batch):
    """Many requests at a time, as several loads may be under way."""
    core = vs.core
    blank = core.std.BlankClip(format=form, width=96, height=64, length=10, color=[200, 120, 140])
    clip = core.std.Expr(blank, "x 10 -") if form == vs.RGB24 else blank
    clip = core.std.SetFrameProps(clip, _ChromaLocation=1)

    def rendered():
        expanded = core.hdr.Expand(clip, model="bt2446a", output=output, device="cpu", batch=batch)
        return [([np.asarray(f[p]).astype(int) for p in range(3)], dict(f.props)) for f in expanded.frames()]

    by_zimg = rendered()
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
    sent = []
    send = DeviceBatches.send
    monkeypatch.setattr(DeviceBatches, "send", lambda self, frames: sent.append(len(frames)) or send(self, frames))
    carried = rendered()
    assert sum(sent) == 11  # and an empty one first
    for (planes, properties), (others, wanted) in zip(carried, by_zimg, strict=True):
        assert properties == wanted
        assert max(np.abs(one - other).max() for one, other in zip(planes, others, strict=True)) <= 1


def test_the_plugin_converts_by_zimg_what_the_device_does_not(monkeypatch):
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
    monkeypatch.setattr(DeviceBatches, "send", lambda *a: pytest.fail("carried as planes"))
    grey = vs.core.std.BlankClip(format=vs.GRAY8, width=96, height=64, length=1, color=200)
    for options in ({"output": "pq", "dither": "error_diffusion"}, {}, {"output": "pq", "smooth": 1}):
        vs.core.hdr.Expand(grey, model="none", device="cpu", **options).get_frame(0).close()


def test_an_encoder_that_fails_stops_the_conversion(clip_path, tmp_path, monkeypatch):
    """While all loads are under way, and one waits for room."""
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
    written = []

    def full(self, planes, pts, duration=0):
        written.append(pts)
        time.sleep(0.3)  # slower than the network, as encoders are
        if len(written) == 4:
            raise OSError("no space left on device")

    monkeypatch.setattr("vshdr.conversion.outputs.VideoWriter.write", full)
    with pytest.raises(OSError, match="no space left"):
        convert(clip_path, tmp_path / "a.mkv", device="cpu", model="none", codec="ffv1", batch=1)


def test_a_conveyor_goes_with_its_last_user(source):
    """And its memory on the device with it, without waiting for a collection."""
    device_batches, _ = device_batches_of(source, batch=1)
    device_batches.send([next(iter(source)).planes]).frames()
    gone = weakref.ref(device_batches)
    del device_batches
    assert gone() is None


def test_where_memory_is_short_loads_are_smaller(source, monkeypatch):
    hold = device_batches_module._StagingBuffers.__init__

    def short(self, batch, *rest):
        if batch > 2:
            raise RuntimeError("CUDA error: out of memory")
        hold(self, batch, *rest)

    monkeypatch.setattr(device_batches_module._StagingBuffers, "__init__", short)
    expander = Expander("none", device="cpu", batch=8)
    assert DeviceBatches.largest(expander, way(source, Delivery(output="pq"))).batch == 2
    monkeypatch.setattr(device_batches_module._StagingBuffers, "__init__", lambda *a: short(a[0], 3))
    assert DeviceBatches.largest(expander, way(source, Delivery(output="pq"))) is None


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


def test_frames_that_are_on_the_device_go_the_same_way(source):
    device_batches, _ = device_batches_of(source)
    there = list(source.on_device(torch.device("cpu")))
    here = list(source)
    assert [(frame.pts, frame.duration) for frame in there] == [(frame.pts, frame.duration) for frame in here]
    for start, end in ((0, 3), (3, 4)):
        one, other = (device_batches.send([frame.planes for frame in frames[start:end]]) for frames in (there, here))
        for (planes, counts), (others, more) in zip(one.frames(), other.frames(), strict=True):
            assert torch.equal(counts, more)
            assert all(np.array_equal(a, b) for a, b in zip(planes, others, strict=True))


@pytest.mark.parametrize("possible", [True, False])
def test_convert_decodes_on_the_device_where_that_is_possible(clip_path, tmp_path, monkeypatch, possible):
    monkeypatch.setattr(device_batches_module, "PLANE_DEVICES", {"cpu"})
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
