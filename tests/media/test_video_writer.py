"""Video files: what is in them is read back by PyAV, by ffmpeg and byte by byte; nothing half-done gets the
final name.
"""

import re
import signal
import subprocess
import sys
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest

from vshdr.colour.h273 import ChromaLocation, Matrix, Primaries, Transfer
from vshdr.media.containers.detect import read_header
from vshdr.media.containers.spans import Patch, patch
from vshdr.media.metadata import ContentLight, mastering_display
from vshdr.media.read.hdr_metadata import read_hdr_metadata
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.verify import verify
from vshdr.media.write.video import VideoWriter

FAST = {"x265": "ultrafast", "svtav1": "10", "prores": "", "ffv1": ""}
TICKS = [9000, 12754, 16504, 24000, 27750, 90000, 93754, 93854]  # of 1/90000 s: neither from 0 nor regular


def settings(codec="x265", **more) -> VideoSettings:
    return VideoSettings(
        **{
            "width": 64,
            "height": 48,
            "codec": codec,
            "time_base": Fraction(1, 90000),
            "preset": FAST[codec],
            "frame_rate": Fraction(24),
            **more,
        }
    )


def planes(chosen: VideoSettings, seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    ramp = [
        np.linspace(200, 800, shape[1], dtype=np.uint16) + np.zeros(shape, np.uint16) for shape in chosen.plane_shapes()
    ]
    shift = 2 if "p12" in chosen.format else 0
    return [(plane + generator.integers(0, 40, plane.shape, np.uint16)) << shift for plane in ramp]


def write(path, chosen: VideoSettings, light=(812.4, 95.5), ticks=TICKS, **more) -> VideoWriter:
    with VideoWriter(path, chosen, **more) as writer:
        for number, tick in enumerate(ticks):
            writer.write(planes(chosen, number), tick)
        writer.finish(*light)
    return writer


def ffmpeg_says(path) -> str:
    """What an ffmpeg that is not PyAV's reads from the file."""
    return subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-i", str(path)], stderr=subprocess.PIPE, text=True
    ).stderr


def decoded(path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mkv", "x265", "yuv420p10le"),
        ("a.mp4", "x265", "yuv420p10le"),
        ("a.mov", "x265", "yuv420p10le"),
        ("a.mkv", "x265", "yuv422p10le"),
        ("a.mp4", "x265", "yuv444p12le"),
        ("a.mkv", "svtav1", "yuv420p10le"),
        ("a.mp4", "svtav1", "yuv420p10le"),
        ("a.mov", "prores", "yuv422p10le"),
        ("a.mkv", "prores", "yuv444p10le"),
        ("a.mkv", "ffv1", "yuv420p10le"),
        ("ä b.MKV", "ffv1", "yuv422p12le"),
    ],
)
def test_hdr10_is_said_in_container_and_bitstream(name, codec, pixel_format, tmp_path):
    path = tmp_path / name
    write(path, settings(codec, pixel_format=pixel_format))
    found = read_hdr_metadata(path)
    light, mastering = ContentLight(max_cll=812, max_fall=96), mastering_display(1000.0)
    views = [found.container] + [found.bitstream] * (codec != "ffv1")  # FFV1 itself says nothing
    for view in views:
        assert (view.primaries, view.transfer, view.matrix) == (Primaries.BT2020, Transfer.PQ, Matrix.BT2020_NCL)
    for view in [found.container] + [found.bitstream] * (codec in ("x265", "svtav1")):
        assert view.light == light
        assert mastering.agrees_with(view.mastering)
    for view in [found.bitstream] * (codec in ("x265", "svtav1")) + [found.container] * (path.suffix.lower() == ".mkv"):
        assert view.chroma_location == (ChromaLocation.TOP_LEFT if "420" in pixel_format else None)
        assert view.full_range is False

    assert (found.transfer, found.content_light) == (Transfer.PQ, light)
    assert mastering.agrees_with(found.mastering_display)

    said = ffmpeg_says(path)
    shown = (
        "yuv444p12le" if (codec, pixel_format) == ("prores", "yuv444p10le") else pixel_format
    )  # ProRes 4444 is read as 12 bits
    assert re.search(rf"{shown}\(tv, bt2020nc/bt2020/smpte2084", said)
    assert "MaxCLL=812, MaxFALL=96" in said
    assert (
        "r(0.6800,0.3200) g(0.2650,0.6900) b(0.1500 0.0600) wp(0.3127, 0.3290) min_luminance=0.000100, "
        "max_luminance=1000.000000"
    ) in said
    if codec == "x265" and path.suffix in (".mp4", ".mov"):
        assert "(hvc1 /" in said
    assert [file.name for file in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "x265"), ("a.mp4", "x265"), ("a.mp4", "svtav1"), ("a.mov", "prores")]
)
def test_hlg_carries_tags_and_no_mastering_display(name, codec, tmp_path):
    path = tmp_path / name
    write(path, settings(codec, transfer="hlg"))
    found = read_hdr_metadata(path)
    for view in (found.container, found.bitstream):
        assert (view.primaries, view.transfer, view.matrix, view.mastering, view.light) == (
            Primaries.BT2020,
            Transfer.HLG,
            Matrix.BT2020_NCL,
            None,
            None,
        )
    assert "bt2020nc/bt2020/arib-std-b67" in ffmpeg_says(path)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("x265", {"keyint": "4", "min-keyint": "4", "scenecut": "0"}),
        ("x265", {"keyint": "8", "open-gop": "1", "bframes": "3", "scenecut": "0"}),
        ("svtav1", {"keyint": "8"}),
    ],
)
def test_every_keyframe_carries_the_measured_light(codec, options, name, tmp_path):
    path = tmp_path / name
    write(path, settings(codec, encoder_options=options), light=(768.0, 2.0), ticks=range(0, 30 * 3750, 3750))
    frames = decoded(path)
    assert len(frames) == 30
    # 768 and 2 would be an escape sequence of HEVC, so one nit is added.
    lights = [
        np.frombuffer(frame.side_data["CONTENT_LIGHT_LEVEL"], np.uint32).tolist() for frame in frames if frame.key_frame
    ]
    assert len(lights) > 2
    assert lights == [[769, 2]] * len(lights)
    # The container's value reaches the decoder too and could hide a message that was passed over.
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        alone = av.CodecContext.create(video.codec_context.codec.name, "r")
        alone.extradata = video.codec_context.extradata
        said = [
            bytes(frame.side_data["CONTENT_LIGHT_LEVEL"])
            for packet in container.demux(video)
            for frame in alone.decode(packet if packet.size else None)
            if frame.key_frame
        ]
    assert [np.frombuffer(light, np.uint32).tolist() for light in said] == lights
    assert read_hdr_metadata(path).container.light == ContentLight(max_cll=769, max_fall=2)


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.mkv", "x265"),
        ("a.mp4", "x265"),
        ("a.mp4", "svtav1"),
        ("a.mkv", "svtav1"),
        ("a.mov", "prores"),
        ("a.mkv", "ffv1"),
    ],
)
def test_timestamps_go_through(name, codec, tmp_path):
    path = tmp_path / name
    write(path, settings(codec))
    found = [Fraction(frame.pts or 0) * Fraction(str(frame.time_base)) for frame in decoded(path)]
    tolerance = Fraction(1, 2000) if name.endswith("mkv") else 0  # Matroska's ticks are milliseconds
    assert len(found) == len(TICKS)
    assert max(abs(time - Fraction(tick, 90000)) for time, tick in zip(found, TICKS, strict=True)) <= tolerance


@pytest.mark.parametrize("time_base", [Fraction(1, 1000), Fraction(1001, 24000), Fraction(1, 25), Fraction(1, 1000000)])
def test_any_time_base_is_exact_in_mp4(time_base, tmp_path):
    path = tmp_path / "a.mp4"
    ticks = [5, 6, 8, 9, 13]
    write(path, settings(time_base=time_base, frame_rate=None), ticks=ticks)
    assert [Fraction(frame.pts or 0) * Fraction(str(frame.time_base)) for frame in decoded(path)] == [
        tick * time_base for tick in ticks
    ]


@pytest.mark.parametrize(
    "pixel_format", [f"yuv{sampling}p{depth}le" for sampling in (420, 422, 444) for depth in (10, 12)]
)
def test_samples_are_those_that_were_given(pixel_format, tmp_path):
    path = tmp_path / "a.mkv"
    chosen = settings("ffv1", pixel_format=pixel_format, width=50, height=38)  # rows that FFmpeg pads
    write(path, chosen)
    for number, frame in enumerate(decoded(path)):
        for plane, meant in zip(frame.planes, planes(chosen, number), strict=True):
            rows = np.frombuffer(plane, np.uint16).reshape(-1, plane.line_size // 2)
            assert np.array_equal(rows[: meant.shape[0], : meant.shape[1]], meant)


@pytest.mark.parametrize(("peak", "nits"), [(0.0, 10000.0), (4000.0, 4000.0), (203.0, 203.0), (1000.5, 1000.5)])
def test_peak_is_the_brightest_white_of_the_mastering_display(peak, nits, tmp_path):
    path = tmp_path / "a.mp4"
    write(path, settings(peak=peak), light=(150.0, 0.4))
    found = read_hdr_metadata(path)
    for view in (found.container, found.bitstream):
        assert view.mastering.max_luminance == pytest.approx(nits, abs=1e-3)
        assert view.light == ContentLight(max_cll=150, max_fall=0)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mkv", "svtav1"), ("a.mkv", "ffv1"), ("a.mkv", "x265"), ("a.mp4", "svtav1"), ("a.mov", "prores")],
)
def test_anamorphic_pictures_keep_their_shape(name, codec, tmp_path):
    path = tmp_path / name
    write(path, settings(codec, width=720, height=16, sample_aspect_ratio=Fraction(16, 15)), ticks=[0, 3750])
    assert "SAR 16:15 DAR 48:1" in ffmpeg_says(path)


@pytest.mark.parametrize(
    ("name", "change", "complaint"),
    [
        ("a.avi", {}, r"\.mkv, \.mp4 or \.mov"),
        ("a", {}, r"\.mkv, \.mp4 or \.mov"),
        ("a.mkv", {"codec": "x264"}, "use one of x265"),
        ("a.mkv", {"transfer": "sdr"}, "use pq or hlg"),
        ("a.mp4", {"codec": "ffv1"}, r"ffv1 video does not go into \.mp4 files; use \.mkv"),
        ("a.mp4", {"codec": "prores"}, r"use \.mov or \.mkv"),
        ("a.mov", {"codec": "svtav1"}, r"use \.mkv or \.mp4"),
        (
            "a.mov",
            {"codec": "prores", "pixel_format": "yuv420p10le"},
            "cannot encode yuv420p10le; use yuv422p10le",
        ),
        ("a.mkv", {"codec": "svtav1", "pixel_format": "yuv444p10le"}, "use yuv420p10le"),
        ("a.mkv", {"width": 63}, "4:2:0 cannot hold; crop one line or use yuv444p10le"),
        ("a.mkv", {"height": 47}, "4:2:0 cannot hold"),
        ("a.mkv", {"width": 63, "pixel_format": "yuv422p12le"}, "use yuv444p12le"),
        ("a.mkv", {"codec": "svtav1", "width": 63}, "another codec"),
        ("a.mkv", {"width": 8}, "at least 16x16"),
        ("a.mkv", {"width": 48}, "x265 fails on frames 48 samples wide"),
        ("a.mkv", {"codec": "ffv1", "crf": 10.0}, "no crf"),
        ("a.mov", {"codec": "prores", "preset": "slow"}, "no presets"),
        ("a.mkv", {"preset": "hasty"}, "preset/tune hasty"),
        ("a.mkv", {"encoder_options": {"nonsense": "1"}}, "Unknown option: nonsense"),
        ("a.mkv", {"encoder_options": {"keyint": "often"}}, "Invalid value for keyint"),
        ("a.mkv", {"codec": "svtav1", "encoder_options": {"nonsense": "1"}}, "nonsense"),
        ("a.mkv", {"codec": "ffv1", "encoder_options": {"nonsense": "1"}}, "no option nonsense"),
        ("a.mkv", {"peak": 20000.0}, "peak is 20000"),
        ("a.mkv", {"peak": 100.0}, "SDR white at 203 nits does not fit under a peak of 100"),
        ("a.mkv", {"time_base": Fraction(0)}, "must be positive"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(name, change, complaint, tmp_path):
    codec = change.get("codec", "x265")
    with pytest.raises(ValueError, match=complaint) as refusal:
        VideoWriter(
            tmp_path / name,
            settings(**{"preset": FAST.get(codec, ""), "codec": "x265"} | change)
            if codec in FAST
            else VideoSettings(width=64, height=48, codec=codec, time_base=Fraction(1, 24)),
        )
    assert "\n" not in str(refusal.value)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_not_there_is_an_os_error(tmp_path):
    with pytest.raises(OSError, match="No such file"):
        VideoWriter(tmp_path / "nowhere" / "a.mkv", settings())


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (17, 5)])
def test_tiny_odd_frames_fit_into_ffv1(size, tmp_path):
    chosen = settings("ffv1", pixel_format="yuv444p10le", width=size[0], height=size[1])
    write(tmp_path / "a.mkv", chosen)
    assert [(frame.width, frame.height) for frame in decoded(tmp_path / "a.mkv")] == [size] * len(TICKS)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_clips_of_a_few_frames(count, name, tmp_path):
    for attempt in range(4):  # x265's decoding times are random for fewer than three
        write(tmp_path / name, settings(), ticks=TICKS[:count])
        assert len(decoded(tmp_path / name)) == count, attempt


def test_frames_that_do_not_fit_are_refused_and_the_rest_is_kept(tmp_path):
    chosen = settings()
    with VideoWriter(tmp_path / "a.mkv", chosen) as writer:
        writer.write(planes(chosen, 0), 10)
        luma, blue, red = planes(chosen, 1)
        for wrong in ([luma[:-1], blue, red], [luma.astype(np.float32), blue, red], [luma, blue]):
            with pytest.raises(ValueError, match="uint16 planes of"):
                writer.write(wrong, 20)
        with pytest.raises(ValueError, match="timestamps have to rise, but 10 follows 10"):
            writer.write([luma, blue, red], 10)
        writer.write([luma, blue, red], 3760)
        writer.finish(100.0, 50.0)
    assert len(decoded(tmp_path / "a.mkv")) == 2


def test_an_existing_file_is_replaced_only_where_that_is_wanted(tmp_path):
    path = tmp_path / "a.mkv"
    path.write_bytes(b"what was there before")
    with pytest.raises(FileExistsError, match="exists already"):
        VideoWriter(path, settings(), overwrite=False)
    assert path.read_bytes() == b"what was there before"
    write(path, settings())
    assert len(decoded(path)) == len(TICKS)
    assert [file.name for file in tmp_path.iterdir()] == ["a.mkv"]


def test_two_runs_do_not_write_into_one_file(tmp_path):
    with VideoWriter(tmp_path / "a.mkv", settings()) as writer:
        for number, tick in enumerate(TICKS):
            writer.write(planes(settings(), number), tick)
        with pytest.raises(OSError, match="is being written by another run"):
            VideoWriter(tmp_path / "a.mkv", settings())
        writer.finish(500.0, 100.0)
    assert len(decoded(tmp_path / "a.mkv")) == len(TICKS)
    write(tmp_path / "a.mkv", settings())


def test_no_frame_leaves_no_file(tmp_path):
    with (
        pytest.raises(ValueError, match="no frame was written"),
        VideoWriter(tmp_path / "a.mkv", settings()) as writer,
    ):
        writer.finish(0.0, 0.0)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, None])
@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "x265"), ("a.mp4", "x265"), ("a.mp4", "svtav1"), ("a.mov", "prores")]
)
def test_an_interrupted_file_plays_under_its_partial_name(name, codec, error, tmp_path):
    path, chosen = tmp_path / name, settings(codec)
    path.write_bytes(b"what was there before")

    def convert():
        with VideoWriter(path, chosen) as writer:
            for number, tick in enumerate(TICKS):
                writer.write(planes(chosen, number), tick)
            if error is not None:
                raise error

    if error is None:  # left without finish
        convert()
    else:
        with pytest.raises(error):
            convert()
    assert path.read_bytes() == b"what was there before"
    left = path.with_name(f"a.partial{path.suffix}")
    assert len(decoded(left)) == len(TICKS)
    found = read_hdr_metadata(left)
    assert (found.container.primaries, found.container.transfer, found.container.matrix) == (
        Primaries.BT2020,
        Transfer.PQ,
        Matrix.BT2020_NCL,
    )
    assert found.container.light == ContentLight(max_cll=1000, max_fall=1000)  # the bound, as nothing was measured


LONG_RUN = """
import os, resource, sys
from fractions import Fraction
import numpy as np
from vshdr.media.containers.detect import read_header
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.video import VideoWriter
chosen = VideoSettings(width=64, height=48, codec=sys.argv[2], time_base=Fraction(1, 24), preset=sys.argv[3])
if sys.argv[4] == "full":
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, 100000))
noise = np.random.default_rng(1)
with VideoWriter(sys.argv[1], chosen) as writer:
    for number in range(300):
        writer.write([noise.integers(64, 940, shape, np.uint16) for shape in chosen.plane_shapes()], number)
    if sys.argv[4] == "kill":
        os.kill(os.getpid(), 9)
    writer.finish(100, 50)
"""


def test_a_killed_mkv_is_readable_and_has_no_final_name(tmp_path):
    path = tmp_path / "a.mkv"
    run = subprocess.run([sys.executable, "-c", LONG_RUN, str(path), "x265", "ultrafast", "kill"])
    assert run.returncode == -signal.SIGKILL
    assert [file.name for file in tmp_path.iterdir()] == ["a.partial.mkv"]
    assert read_hdr_metadata(tmp_path / "a.partial.mkv").container.transfer == Transfer.PQ
    assert len(decoded(tmp_path / "a.partial.mkv")) > 100


@pytest.mark.parametrize(("name", "codec", "preset"), [("a.mkv", "ffv1", ""), ("a.mp4", "x265", "ultrafast")])
def test_a_full_disk_is_an_os_error_and_gives_no_final_name(name, codec, preset, tmp_path):
    run = subprocess.run(
        [sys.executable, "-c", LONG_RUN, str(tmp_path / name), codec, preset, "full"],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.returncode == 1 and "File too large" in run.stderr
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"timestamps": TICKS[:-1]}, "expected 7 frames, found 8"),
        (
            {"timestamps": [*TICKS[:-1], TICKS[-1] + 900]},
            r"expected frame 7 at 1\.0528\d+ s, found it at 1\.04",
        ),
        ({"light": ContentLight(max_cll=813, max_fall=96)}, "has another light level than 813,96"),
        ({"settings": settings(transfer="hlg")}, "wrong transfer: expected HLG .18., found 16"),
        ({"settings": settings(peak=999.0)}, "wrong mastering"),
        ({"settings": settings(sample_aspect_ratio=Fraction(4, 3))}, "aspect ratio of 4/3"),
    ],
)
def test_verification_finds_what_is_not_as_meant(change, complaint, tmp_path):
    path = tmp_path / "a.mkv"
    write(path, settings())
    meant = {
        "settings": settings(),
        "timestamps": TICKS,
        "light": ContentLight(max_cll=812, max_fall=96),
        "earliest": Fraction(0),
    }
    verify(path, **meant)
    with pytest.raises(RuntimeError, match=complaint):
        verify(path, **meant | change)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4"])
@pytest.mark.parametrize(
    ("place", "complaint"),
    [("light", "the container has the wrong light"), ("configuration", "configuration has another")],
)
def test_verification_finds_one_stale_light_level(place, complaint, name, tmp_path):
    path = tmp_path / name
    write(path, settings())
    header = read_header(path)
    field = header.light_fields[0] if place == "light" else header.configuration
    stale = path.read_bytes()[field.start : field.end].replace(b"\x03\x2c", b"\x03\xe8")  # 812 by 1000
    patch(path, [Patch(field.start, stale)])
    with pytest.raises(RuntimeError, match=complaint):
        verify(path, settings(), TICKS, ContentLight(max_cll=812, max_fall=96), Fraction(0))


def test_a_failed_check_keeps_the_final_name_free(tmp_path):
    # A parameter of the user wins over ours, and here contradicts what the file is meant to be.
    chosen = settings(encoder_options={"transfer": "bt709"})
    with pytest.raises(RuntimeError, match="keyframe has the wrong transfer: expected PQ .16., found 1"):
        write(tmp_path / "a.mkv", chosen)
    assert [file.name for file in tmp_path.iterdir()] == ["a.partial.mkv"]
