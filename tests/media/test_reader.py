"""SDR from files: all frames, their times, their meaning; and one sentence for what cannot be read."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import skimage.io
import torch
from av.codec.context import ThreadType
from PIL import Image

from vshdr.colour.h273 import ColourRange, Matrix, Primaries, Transfer
from vshdr.media.read.reader import open_source, read_sdr
from vshdr.media.signal import Signal

SIZE = (48, 32)


def encode(
    path: Path,
    codec: str = "ffv1",
    pixel_format: str = "yuv420p",
    *,
    size: tuple[int, int] = SIZE,
    count: int = 6,
    pts: list[int] | None = None,
    tags: dict[str, int] | None = None,
    rotation: int = 0,
    options: dict | None = None,
    aspect: Fraction | None = None,
) -> list[list[np.ndarray]]:
    """Writes random frames; returns the code values of their planes as FFmpeg orders them."""
    random = np.random.default_rng(7)
    written = []
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pixel_format
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.thread_type = ThreadType.SLICE
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for tag, value in (tags or {}).items():
            setattr(stream.codec_context, tag, value)
        if rotation:
            stream.set_display_rotation(rotation)
        for index in range(count):
            frame = av.VideoFrame(*size, pixel_format)
            bits = frame.format.components[0].bits
            dtype = np.dtype(np.uint8 if bits == 8 else np.uint16)
            planes = []
            for plane in frame.planes:
                code = random.integers(2 ** (bits - 3), 2 ** (bits - 1), (plane.height, plane.width)).astype(dtype)
                np.ndarray(code.shape, dtype, buffer=plane, strides=(plane.line_size, dtype.itemsize))[:] = code
                planes.append(code)
            written.append(planes)
            for tag, value in (tags or {}).items():
                setattr(frame, tag, value)
            frame.pts, frame.time_base = pts[index] if pts else index * 40, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return written


def seconds(source) -> list[float]:
    return [float(frame.pts * source.time_base) for frame in source]


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "yuv444p16le", "gray16le", "gbrp12le", "gbrp16le"])
def test_lossless_video_gives_its_code_values(tmp_path: Path, pixel_format: str) -> None:
    written = encode(tmp_path / "in.mkv", pixel_format=pixel_format)
    source = open_source(tmp_path / "in.mkv")
    frames = list(source)
    assert [frame.index for frame in frames] == list(range(6))
    order = (2, 0, 1) if pixel_format.startswith("gbr") else range(len(written[0]))
    for frame, planes in zip(frames, written, strict=True):
        for plane, number in zip(frame.planes, order, strict=True):
            np.testing.assert_array_equal(plane, planes[number])


def test_h264_is_read_to_the_last_frame_twice(tmp_path: Path) -> None:
    encode(tmp_path / "in.mp4", "libx264", count=40)
    source = open_source(tmp_path / "in.mp4")
    assert source.frame_count == 40 and source.frame_rate == 25
    assert source.video_path == tmp_path / "in.mp4"
    first, second = ([np.array(frame.planes[0]) for frame in source] for _ in range(2))
    assert len(first) == 40
    np.testing.assert_array_equal(first, second)


def test_variable_frame_rate_keeps_every_timestamp(tmp_path: Path) -> None:
    pts = [0, 40, 57, 140, 141, 600]
    encode(tmp_path / "in.mkv", pts=pts)
    source = open_source(tmp_path / "in.mkv")
    assert seconds(source) == pytest.approx([time / 1000 for time in pts], abs=1e-9)
    durations = [float(frame.duration * source.time_base) for frame in source]
    assert durations[:-1] == pytest.approx(np.diff(pts) / 1000, abs=1e-9)


def test_missing_timestamps_are_filled_in(tmp_path: Path) -> None:
    encode(tmp_path / "in.h264", "libx264", options={"bf": "0"})  # a bare stream carries no times
    source = open_source(tmp_path / "in.h264")
    assert np.diff(seconds(source)) == pytest.approx([0.04] * 5, abs=1e-3)


@pytest.mark.parametrize("size", [(47, 31), (1, 1), (3, 3)])
def test_odd_sizes_are_padded_and_cropped(tmp_path: Path, size: tuple[int, int]) -> None:
    written = encode(tmp_path / "in.nut", "rawvideo", size=size)
    source = open_source(tmp_path / "in.nut")
    assert (source.width, source.height) == size
    for (frame, sdr), planes in zip(read_sdr(source), written, strict=True):
        padded = frame.planes[0]
        assert padded.shape == (source.coded_height, source.coded_width) == tuple(side + 1 for side in size[::-1])
        np.testing.assert_array_equal(padded[:-1, :-1], planes[0])
        np.testing.assert_array_equal(padded[-1], padded[-2])
        assert sdr.shape == (3, *size[::-1])


@pytest.mark.parametrize(("rotation", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotated_video_comes_out_upright(tmp_path: Path, rotation: int, turns: int) -> None:
    options = {"crf": "0", "preset": "ultrafast"}
    encode(tmp_path / "flat.mp4", "libx264", "yuv444p", size=(49, 33), options=options, count=2, aspect=Fraction(4, 3))
    encode(
        tmp_path / "turned.mp4",
        "libx264",
        "yuv444p",
        size=(49, 33),
        options=options,
        count=2,
        aspect=Fraction(4, 3),
        rotation=rotation,
    )
    flat, turned = open_source(tmp_path / "flat.mp4"), open_source(tmp_path / "turned.mp4")
    for (_, expected), (_, upright) in zip(read_sdr(flat), read_sdr(turned), strict=True):
        # FFmpeg's rotation is counter-clockwise, as rot90's on an axis that points down.
        assert torch.equal(upright, torch.rot90(expected, turns, (1, 2)))
    size, aspect = ((33, 49), Fraction(3, 4)) if turns % 2 else ((49, 33), Fraction(4, 3))
    assert (turned.width, turned.height) == size
    assert turned.sample_aspect_ratio == aspect


def test_colour_tags_are_read(tmp_path: Path) -> None:
    tags = {"color_primaries": Primaries.BT470_BG, "color_trc": Transfer.BT601, "colorspace": Matrix.BT470_BG}
    encode(tmp_path / "in.mkv", tags=tags | {"color_range": ColourRange.FULL.ffmpeg})
    signal = open_source(tmp_path / "in.mkv").signal
    expected = Signal(matrix=Matrix.BT470_BG, transfer=Transfer.BT601, primaries=Primaries.BT470_BG, full_range=True)
    assert signal == expected


def test_untagged_video_is_bt709_in_video_range(tmp_path: Path) -> None:
    encode(tmp_path / "in.mkv")
    expected = Signal(matrix=Matrix.BT709, transfer=Transfer.BT709, primaries=Primaries.BT709, full_range=False)
    assert open_source(tmp_path / "in.mkv").signal == expected


@pytest.mark.parametrize(("transfer", "name"), [(Transfer.PQ, "PQ"), (Transfer.HLG, "HLG")])
def test_hdr_is_refused_unless_allowed(tmp_path: Path, transfer: Transfer, name: str) -> None:
    encode(
        tmp_path / "in.mkv",
        pixel_format="yuv420p10le",
        tags={"color_primaries": Primaries.BT2020, "color_trc": transfer, "colorspace": Matrix.BT2020_NCL},
    )
    with pytest.raises(ValueError, match=rf"in\.mkv: the clip already is HDR \({name}\)"):
        open_source(tmp_path / "in.mkv")
    assert open_source(tmp_path / "in.mkv", allow_hdr=True).signal.transfer == Transfer.BT709


def test_cover_art_is_not_the_video(tmp_path: Path) -> None:
    encode(tmp_path / "video.mkv", count=3)
    encode(tmp_path / "cover.png", "png", "rgb24", size=(20, 20), count=1)
    with (
        av.open(tmp_path / "video.mkv") as video,
        av.open(tmp_path / "cover.png") as cover,
        av.open(tmp_path / "both.mp4", "w") as out,
    ):
        picture = out.add_stream_from_template(cover.streams.video[0])
        picture.disposition = av.stream.Disposition.attached_pic
        stream = out.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for packet in cover.demux(video=0):
            if packet.size:
                packet.stream = picture
                out.mux(packet)
        for frame in video.decode(video=0):
            frame.pict_type = 0
            out.mux(stream.encode(frame))
        out.mux(stream.encode())
    source = open_source(tmp_path / "both.mp4")
    assert (source.width, source.height) == SIZE
    assert len(list(source)) == 3


def test_a_change_of_size_is_named(tmp_path: Path) -> None:
    encode(tmp_path / "a.ts", "libx264", size=(64, 48), options={"bf": "0"})
    encode(tmp_path / "b.ts", "libx264", size=(96, 64), options={"bf": "0"})
    (tmp_path / "in.ts").write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with pytest.raises(ValueError, match=r"in\.ts: the picture changes at frame 6 from 64x48 yuv420p to 96x64 yuv420p"):
        list(open_source(tmp_path / "in.ts"))


@pytest.mark.parametrize("suffix", ["mkv", "mp4", "avi"])
def test_a_file_that_is_cut_off(tmp_path: Path, suffix: str) -> None:
    encode(tmp_path / f"whole.{suffix}", "mpeg4", size=(192, 128))
    data = (tmp_path / f"whole.{suffix}").read_bytes()
    (tmp_path / f"in.{suffix}").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(ValueError, match=r"in\.\w+: .*cut off"):
        open_source(tmp_path / f"in.{suffix}")


def test_a_recording_that_begins_between_key_frames(tmp_path: Path) -> None:
    encode(tmp_path / "whole.ts", "libx264", count=30, options={"bf": "0", "g": "10", "sc_threshold": "0"})
    data = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "in.ts").write_bytes(data[len(data) // 188 // 6 * 188 :])
    source = open_source(tmp_path / "in.ts")
    assert 20 <= len(list(source)) < 26
    assert any("begins between key frames" in note for note in source.notes)


def test_damage_in_the_middle_names_the_frame(tmp_path: Path) -> None:
    encode(tmp_path / "in.mkv", "mjpeg", "yuvj420p", size=(192, 128))
    with av.open(tmp_path / "in.mkv") as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0)]
    data = bytearray((tmp_path / "in.mkv").read_bytes())
    position, size = packets[3]
    data[position + 20 : position + size] = bytes(size - 20)
    (tmp_path / "in.mkv").write_bytes(data)
    numbers = []
    with pytest.raises(ValueError, match=r"in\.mkv: frame 3 cannot be decoded"):
        for frame in open_source(tmp_path / "in.mkv"):
            numbers.append(frame.index)
    assert numbers == [0, 1]  # a frame is handed out once the time of the next is known


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.mp4", b"", "the file is empty"),
        ("text.mp4", b"once upon a time " * 500, "not a video that can be read"),
        ("text.png", b"once upon a time", "not an image that can be read"),
        ("empty.png", b"", "not an image that can be read"),
        ("light.exr", b"v/1\x01", "already are HDR"),
        ("light.hdr", b"#?RADIANCE", "already are HDR"),
    ],
)
def test_what_is_no_clip(tmp_path: Path, name: str, content: bytes, sentence: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: .*{sentence}") as raised:
        open_source(tmp_path / name)
    assert "\n" not in str(raised.value)


def test_what_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no such file"):
        open_source(tmp_path / "nothing.mp4")
    with pytest.raises(ValueError, match="no images in this folder"):
        open_source(tmp_path)
    with pytest.raises(ValueError, match="no file matches shot.####.png"):
        open_source(tmp_path / "shot.%04d.png")


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    with av.open(tmp_path / "in.wav", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(ValueError, match="there is no video in this file"):
        open_source(tmp_path / "in.wav")


def write_image(path: Path, code: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    skimage.io.imsave(path, code, check_contrast=False)


def random_image(dtype: type, seed: int = 0, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.integers(0, np.iinfo(dtype).max + 1, (*SIZE[::-1], channels)).astype(dtype).squeeze()


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_images_give_their_code_values_as_srgb(tmp_path: Path, suffix: str, dtype: type) -> None:
    code = random_image(dtype)
    if dtype == np.uint16 and suffix == "png":
        encoder = av.CodecContext.create("png", "w")
        encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = *SIZE, "rgb48be", Fraction(1, 25)
        (packet,) = encoder.encode(
            av.VideoFrame.from_ndarray(code.byteswap().view(">u2").astype(np.uint16).byteswap(), "rgb48be")
        ) or encoder.encode(None)
        (tmp_path / "in.png").write_bytes(bytes(packet))
        code = code.byteswap().view(">u2").astype(np.uint16).byteswap()
    else:
        write_image(tmp_path / f"in.{suffix}", code)
    source = open_source(tmp_path / f"in.{suffix}")
    assert (source.signal.eotf, source.signal.full_range, source.frame_count) == ("srgb", True, 1)
    ((_, sdr),) = read_sdr(source)
    expected = torch.from_numpy(code.astype(np.float32) / np.iinfo(dtype).max).permute(2, 0, 1)
    torch.testing.assert_close(sdr, expected, rtol=0, atol=1e-6)


def test_grey_and_jpeg_images_are_full_range_srgb(tmp_path: Path) -> None:
    Image.fromarray(random_image(np.uint8, channels=1)).save(tmp_path / "grey.png")
    Image.fromarray(random_image(np.uint8)).save(tmp_path / "in.jpg", quality=95)
    for name in ("grey.png", "in.jpg"):
        source = open_source(tmp_path / name)
        assert (source.signal.eotf, source.signal.full_range) == ("srgb", True)
        ((_, sdr),) = read_sdr(source)
        with Image.open(tmp_path / name) as image:
            expected = np.asarray(image.convert("RGB")) / 255
        # JPEG decoders differ in how they interpolate chroma, by much on noise: the mean shows range and matrix.
        assert sdr.mean((1, 2)).tolist() == pytest.approx(expected.mean((0, 1)).tolist(), abs=0.005)


@pytest.mark.parametrize(
    ("exif", "turn"),
    [(6, lambda code: np.rot90(code, -1)), (3, lambda code: np.rot90(code, 2)), (2, lambda code: code[:, ::-1])],
)
def test_photographs_come_out_upright(tmp_path: Path, exif: int, turn) -> None:
    code = np.zeros((32, 48, 3), np.uint8)
    code[:16, :16] = 255  # one corner is white
    tags = Image.Exif()
    tags[274] = exif
    Image.fromarray(code).save(tmp_path / "in.jpg", quality=100, subsampling=0, exif=tags)
    source = open_source(tmp_path / "in.jpg")
    ((_, sdr),) = read_sdr(source)
    np.testing.assert_allclose(sdr.permute(1, 2, 0), turn(code) / 255, atol=0.02)
    assert source.notes == ["the picture is turned upright, as the file says"]


def test_images_of_one_bit(tmp_path: Path) -> None:
    code = random_image(np.uint8, channels=1) > 127
    Image.fromarray(code).save(tmp_path / "in.png")
    ((_, sdr),) = read_sdr(open_source(tmp_path / "in.png"))
    np.testing.assert_array_equal(sdr.numpy(), np.broadcast_to(code, (3, *code.shape)).astype(np.float32))


def test_alpha_is_dropped_and_said_once(tmp_path: Path) -> None:
    code = random_image(np.uint8, channels=4)
    write_image(tmp_path / "in.png", code)
    source = open_source(tmp_path / "in.png")
    (frame,) = source
    np.testing.assert_array_equal(np.stack(frame.planes, axis=-1), code[..., :3])
    assert source.notes == ["alpha is dropped; colours are used as stored"]


@pytest.mark.parametrize("given", ["frames", "frames/shot.####.png", "frames/shot.%04d.png"])
def test_sequences_come_in_the_order_of_their_numbers(tmp_path: Path, given: str) -> None:
    images = [random_image(np.uint8, seed) for seed in range(12)]
    for number, code in enumerate(images):
        write_image(tmp_path / f"frames/shot.{number + 995:04d}.png", code)
    (tmp_path / "frames/notes.txt").write_text("not an image")
    source = open_source(tmp_path / given, frame_rate=Fraction(24000, 1001))
    assert (source.frame_rate, source.frame_count) == (Fraction(24000, 1001), 12)
    frames = list(source)
    np.testing.assert_array_equal([np.stack(frame.planes, axis=-1) for frame in frames], images)
    assert [frame.pts * source.time_base for frame in frames] == [Fraction(1001 * index, 24000) for index in range(12)]


def test_folders_are_sorted_naturally(tmp_path: Path) -> None:
    for number in (10, 9, 11):
        write_image(tmp_path / f"frames/{number}.png", np.full((*SIZE[::-1], 3), number, np.uint8))
    assert [int(frame.planes[0][0, 0]) for frame in open_source(tmp_path / "frames")] == [9, 10, 11]


@pytest.mark.parametrize("given", ["frames", "frames/a%d.png"])
def test_a_gap_in_the_numbers_is_named(tmp_path: Path, given: str) -> None:
    for number in (1, 2, 5, 7):
        write_image(tmp_path / f"frames/a{number}.png", random_image(np.uint8))
    with pytest.raises(ValueError, match=r"a3\.png is missing; the sequence runs from 1 to 7"):
        open_source(tmp_path / given)


def test_images_of_two_sizes_are_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "frames/1.png", random_image(np.uint8))
    write_image(tmp_path / "frames/2.png", random_image(np.uint8)[:-1])
    with pytest.raises(ValueError, match=r"2\.png: size.* differ from those of 1\.png"):
        list(open_source(tmp_path / "frames"))


def test_names_with_spaces_percent_signs_and_umlauts(tmp_path: Path) -> None:
    code = random_image(np.uint8)
    write_image(tmp_path / "100 % grün.png", code)
    (frame,) = open_source(tmp_path / "100 % grün.png")
    np.testing.assert_array_equal(frame.planes[0], code[..., 0])


def test_a_script_is_read_with_its_own_times(tmp_path: Path) -> None:
    (tmp_path / "in.vpy").write_text(
        "import vapoursynth as vs\n"
        "base = vs.core.std.BlankClip(format=vs.YUV420P10, width=64, height=48, length=5, fpsnum=24000, fpsden=1001)\n"
        "clip = base.std.FrameEval(lambda n: base.std.SetFrameProps(_Matrix=6, _DurationNum=1 + n, _DurationDen=50))\n"
        "clip.set_output()\n"
    )
    source = open_source(tmp_path / "in.vpy")
    assert (source.signal.matrix, source.frame_rate, source.frame_count) == (6, Fraction(24000, 1001), 5)
    assert seconds(source) == pytest.approx([0, 0.02, 0.06, 0.12, 0.2], abs=1e-4)
    assert [frame.planes[0].dtype for frame in source] == [np.uint16] * 5


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("x = 1\ny = x / 0\n", r"in\.vpy:2: ZeroDivisionError"),
        ("x = (1,\n", r"in\.vpy:1: SyntaxError"),
        ("x = 1\n", "sets no video output"),
        ("import vapoursynth as vs\nvs.core.std.BlankClip(varsize=True).set_output()\n", "changes its format or size"),
        (
            "import vapoursynth as vs\n"
            "vs.core.std.BlankClip(format=vs.YUV420P10).std.SetFrameProps(_Transfer=16).set_output()\n",
            r"already is HDR \(PQ\)",
        ),
    ],
)
def test_scripts_that_fail_say_where(tmp_path: Path, script: str, sentence: str) -> None:
    (tmp_path / "in.vpy").write_text(script)
    with pytest.raises(ValueError, match=sentence) as raised:
        open_source(tmp_path / "in.vpy")
    assert "\n" not in str(raised.value)


def test_a_script_that_fails_on_the_way_names_the_frame(tmp_path: Path) -> None:
    (tmp_path / "in.vpy").write_text(
        "import vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(length=9)\n"
        "clip.std.FrameEval(lambda n: clip if n < 4 else 1 / 0).set_output()\n"
    )
    with pytest.raises(ValueError, match=r"in\.vpy: frame 4: .*division by zero"):
        list(open_source(tmp_path / "in.vpy"))


def test_a_frame_rate_is_for_images_only(tmp_path: Path) -> None:
    encode(tmp_path / "in.mkv", count=1)
    with pytest.raises(ValueError, match="for images only"):
        open_source(tmp_path / "in.mkv", frame_rate=Fraction(30))


def test_a_script_whose_field_order_changes_is_told_so(tmp_path):
    script = tmp_path / "s.vpy"
    script.write_text(
        "import vapoursynth as vs\nclip = vs.core.std.BlankClip(format=vs.YUV420P8, width=16, height=16, length=2)\n"
        "(vs.core.std.SetFieldBased(clip, 0) + vs.core.std.SetFieldBased(clip, 2)).set_output()\n"
    )
    with pytest.raises(ValueError, match="_FieldBased changes at frame 2.*SetFieldBased"):
        list(open_source(script))
