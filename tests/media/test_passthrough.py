"""The other streams of a source: what the new container can hold arrives bit for bit at its old time, the
rest is named.
"""

import subprocess
from fractions import Fraction

import av
import imageio_ffmpeg
import numpy as np
import pytest
from av.stream import Disposition

from vshdr.media.read.streams import first_video_stream, fraction
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.video import VideoWriter

SUBTITLES = """1
00:00:00,200 --> 00:00:00,600
Hello

2
00:00:00,700 --> 00:00:00,900
Line one
Grüße
"""
TAGS = """;FFMETADATA1
title=A Film
artist=Someone
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=One
[CHAPTER]
TIMEBASE=1/1000
START=500
END=1000
title=Two
"""


def ffmpeg(folder, *arguments: str) -> None:
    subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *arguments], check=True, cwd=folder)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A folder with src.mkv (two audio tracks, SRT and ASS, a font, a cover, chapters) and src.mp4 (timecode,
    cover, ...).
    """
    folder = tmp_path_factory.mktemp("sources")
    (folder / "s.srt").write_text(SUBTITLES, encoding="utf-8")
    (folder / "tags.txt").write_text(TAGS)
    (folder / "font.ttf").write_bytes(bytes(range(256)) * 3)
    ffmpeg(folder, "-f", "lavfi", "-i", "testsrc2=s=16x16", "-frames:v", "1", "cover.png")
    ffmpeg(
        folder,
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=64x48:r=24:d=1",
        "-f",
        "lavfi",
        "-i",
        "sine=440:d=1.2",
        "-i",
        "s.srt",
        "-i",
        "tags.txt",
        "-map",
        "0",
        "-map",
        "1",
        "-map",
        "1",
        "-map",
        "2",
        "-map",
        "2",
        "-map_metadata",
        "3",
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-bf",
        "2",
        "-c:a:0",
        "aac",
        "-c:a:1",
        "libopus",
        "-c:s:0",
        "srt",
        "-c:s:1",
        "ass",
        "-metadata:s:a:0",
        "language=eng",
        "-metadata:s:a:0",
        "title=Main mix",
        "-metadata:s:a:1",
        "language=deu",
        "-disposition:a:0",
        "default",
        "-disposition:a:1",
        "comment",
        "-metadata:s:s:0",
        "language=fra",
        "-disposition:s:0",
        "forced",
        "-metadata:s:v:0",
        "title=The picture",
        "-attach",
        "font.ttf",
        "-metadata:s:t:0",
        "mimetype=application/x-truetype-font",
        "-attach",
        "cover.png",
        "-metadata:s:t:1",
        "mimetype=image/png",
        "src.mkv",
    )
    ffmpeg(
        folder,
        "-i",
        "src.mkv",
        "-i",
        "cover.png",
        "-map",
        "0:v:0",
        "-map",
        "0:a:0",
        "-map",
        "0:s:0",
        "-map",
        "1",
        "-c",
        "copy",
        "-c:s",
        "mov_text",
        "-disposition:v:1",
        "attached_pic",
        "-timecode",
        "01:00:00:00",
        "src.mp4",
    )
    return folder


def convert(source, target, last_pts: int | None = None, finish: bool = True) -> VideoWriter:
    with av.open(str(source)) as container:
        video = first_video_stream(container)
        time_base = fraction(video.time_base)
        ticks = sorted({packet.pts for packet in container.demux(video) if packet.size})
    chosen = VideoSettings(width=64, height=48, time_base=time_base, frame_rate=Fraction(24), preset="ultrafast")
    with VideoWriter(target, chosen, source) as writer:
        for number, tick in enumerate(ticks):
            if last_pts is None or tick <= last_pts:
                writer.write([np.full(shape, 300 + number, np.uint16) for shape in chosen.plane_shapes()], tick)
        if finish:
            writer.finish(100.0, 50.0)
    return writer


def packets(path, kind: str, number: int = 0) -> list[tuple[float, bytes]]:
    """Time in seconds and content of a stream's packets; not the empty ones with which MP4 fills gaps between
    subtitles.
    """
    with av.open(str(path)) as container:
        stream = [stream for stream in container.streams if stream.type == kind][number]
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in container.demux(stream)
            if packet.size and bytes(packet) != b"\0\0"
        ]


def assert_same_packets(found, expected) -> None:
    assert [data for _, data in found] == [data for _, data in expected]
    assert [time for time, _ in found] == pytest.approx([time for time, _ in expected], abs=0.001)


def test_matroska_takes_everything(sources, tmp_path):
    source, target = sources / "src.mkv", tmp_path / "out.mkv"
    assert convert(source, target).left_out == []
    for kind, number in (("audio", 0), ("audio", 1), ("subtitle", 0), ("subtitle", 1)):
        assert_same_packets(packets(target, kind, number), packets(source, kind, number))
    with av.open(str(target)) as container:
        streams = container.streams
        assert container.metadata["title"] == "A Film" and container.metadata["ARTIST"] == "Someone"
        assert [
            (chapter["start"] * chapter["time_base"], chapter["metadata"]["title"]) for chapter in container.chapters()
        ] == [(0, "One"), (Fraction(1, 2), "Two")]
        assert streams.video[0].metadata["title"] == "The picture"
        assert [stream.language for stream in streams.audio] == ["eng", "deu"]
        assert streams.audio[0].metadata["title"] == "Main mix"
        assert [stream.disposition for stream in streams.audio] == [Disposition.default, Disposition.comment]
        assert streams.subtitles[0].language == "fra" and streams.subtitles[0].disposition == Disposition.forced
        fonts = [stream for stream in streams if stream.type == "attachment"]
        assert [(font.metadata["filename"], font.mimetype, font.data) for font in fonts] == [
            ("font.ttf", "application/x-truetype-font", (sources / "font.ttf").read_bytes())
        ]
        cover = next(stream for stream in streams.video if stream.disposition & Disposition.attached_pic)
        assert cover.codec_context.name == "png"
        assert "encoder" not in {key.lower() for key in streams.video[0].metadata}


@pytest.mark.parametrize("name", ["out.mp4", "out.mov"])
def test_quicktime_family_takes_what_it_can_and_the_rest_is_named(name, sources, tmp_path):
    source, target = sources / "src.mkv", tmp_path / name
    left_out = convert(source, target).left_out
    expected = ["ass", "font"] + (["opus", "png"] if name == "out.mov" else [])
    assert sorted(
        word
        for word in ("ass", "opus", "png", "font")
        if any(word in line for line in left_out)
        or (word == "font" and any(line.startswith("attachment") for line in left_out))
    ) == sorted(expected)
    assert len(left_out) == len(expected)
    assert all(
        line.endswith((f"{target.suffix} files cannot hold it", "files hold no attachments", "hold no cover picture"))
        for line in left_out
    )
    assert_same_packets(packets(target, "audio"), packets(source, "audio"))
    texts = packets(target, "subtitle")
    assert [time for time, _ in texts] == pytest.approx([0.2, 0.7], abs=0.001)
    words = ["Hello", "Line one\nGrüße"]
    assert [data[2 : 2 + int.from_bytes(data[:2], "big")].decode() for _, data in texts] == words
    with av.open(str(target)) as container:
        assert [chapter["metadata"]["title"] for chapter in container.chapters()] == ["One", "Two"]
        assert container.metadata["title"] == "A Film"
        assert container.streams.audio[0].language == "eng"
        covers = [stream for stream in container.streams.video if stream.disposition & Disposition.attached_pic]
        assert len(covers) == (1 if name == "out.mp4" else 0)


def test_mp4_goes_into_matroska(sources, tmp_path):
    source, target = sources / "src.mp4", tmp_path / "out.mkv"
    assert convert(source, target).left_out == []
    assert_same_packets(packets(target, "audio"), packets(source, "audio"))
    assert [data.decode() for _, data in packets(target, "subtitle")] == ["Hello", "Line one\nGrüße"]
    with av.open(str(target)) as container:
        assert container.streams.video[0].metadata["TIMECODE"] == "01:00:00:00"
        assert any(stream.disposition & Disposition.attached_pic for stream in container.streams.video)
        assert not {"major_brand", "MAJOR_BRAND"} & container.metadata.keys()


def test_timecode_goes_from_mp4_to_mp4(sources, tmp_path):
    assert convert(sources / "src.mp4", tmp_path / "out.mp4").left_out == []
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert first_video_stream(container).metadata["timecode"] == "01:00:00:00"


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_a_transport_stream_that_starts_late_stays_in_sync(name, sources, tmp_path):
    source = tmp_path / "src.ts"
    ffmpeg(sources, "-i", "src.mkv", "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", str(source))
    convert(source, tmp_path / name)
    before, after = packets(source, "audio"), packets(tmp_path / name, "audio")
    assert [time for time, _ in after] == pytest.approx([time for time, _ in before], abs=0.001)
    assert before[0][0] > 1.0
    first_frames = [min(time for time, _ in packets(path, "video")) for path in (source, tmp_path / name)]
    assert first_frames[0] == pytest.approx(first_frames[1], abs=0.001)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4"])
def test_audio_whose_time_steps_back_does_not_end_the_conversion(name, sources, tmp_path):
    source, part = tmp_path / "joined.ts", tmp_path / "part.ts"
    ffmpeg(sources, "-i", "src.mkv", "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", str(part))
    source.write_bytes(part.read_bytes() * 2)
    with av.open(str(source)) as container:
        times = [packet.dts for packet in container.demux(audio=0) if packet.size]
    assert times != sorted(times)
    convert(source, tmp_path / name)
    assert len(packets(tmp_path / name, "audio")) == len(times)


@pytest.mark.parametrize("name", ["out.mkv", "out.mp4", "out.mov"])
def test_data_is_copied_into_quicktime_and_named_otherwise(name, sources, tmp_path):
    source = tmp_path / "data.ts"
    with av.open(str(sources / "src.mkv")) as old, av.open(str(source), "w") as new:
        video = new.add_stream_from_template(old.streams.video[0], opaque=True)
        data = new.add_data_stream("klv")
        for number, packet in enumerate(packet for packet in old.demux(video=0) if packet.size):
            packet.stream = video
            new.mux(packet)
            if number % 4 == 0:
                key = av.Packet(bytes(range(16)) + b"\x02\1\2")
                key.pts = key.dts = packet.dts
                key.time_base, key.stream = packet.time_base, data
                new.mux(key)
    left_out = convert(source, tmp_path / name).left_out
    if name == "out.mov":
        assert left_out == []
        assert_same_packets(packets(tmp_path / name, "data"), packets(source, "data"))
    else:
        assert left_out == [f"data stream 1 (klv) is left out: {name[3:]} files cannot hold it"]


@pytest.mark.parametrize("name", ["src.mkv", "src.ts"])
def test_a_source_that_is_cut_short_keeps_what_there_is(name, sources, tmp_path):
    if name == "src.ts":
        ffmpeg(sources, "-i", "src.mkv", "-map", "0:v:0", "-map", "0:a:0", "-c", "copy", name)
    source = tmp_path / name
    whole = (sources / name).read_bytes()
    source.write_bytes(whole[: len(whole) * 2 // 3])
    convert(source, tmp_path / "out.mp4")
    assert 5 < len(packets(tmp_path / "out.mp4", "audio")) < len(packets(sources / name, "audio"))


def test_a_subtitle_that_cannot_be_read_is_named(sources, tmp_path):
    source = tmp_path / "broken.mp4"
    data = (sources / "src.mp4").read_bytes()
    assert data.count(b"\0\x05Hello") == 1
    source.write_bytes(data.replace(b"\0\x05Hello", b"\0\x05H\xff\xfe\xfdo"))  # not UTF-8
    writer = convert(source, tmp_path / "out.mkv")
    assert [line.split(":")[0] for line in writer.left_out] == ["the subtitle at 0.200 s is left out"]
    assert len(packets(tmp_path / "out.mkv", "subtitle")) == 1


def test_an_interrupted_file_ends_with_its_picture(sources, tmp_path):
    convert(sources / "src.mkv", tmp_path / "out.mkv", last_pts=300, finish=False)
    times = [time for time, _ in packets(tmp_path / "out.partial.mkv", "audio")]
    assert 0.2 < max(times) < 0.4


@pytest.mark.parametrize("name", ["cover.png", "frame%04d.png", "script.vpy", "."])
def test_sources_without_other_streams_are_fine(name, sources, tmp_path):
    (sources / "script.vpy").write_text("import vapoursynth")
    chosen = VideoSettings(width=64, height=48, time_base=Fraction(1, 24), preset="ultrafast")
    with VideoWriter(tmp_path / "out.mkv", chosen, sources / name) as writer:
        writer.write([np.full(shape, 300, np.uint16) for shape in chosen.plane_shapes()], 0)
        writer.finish(100.0, 50.0)
    assert writer.left_out == []
