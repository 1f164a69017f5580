"""`vshdr convert` from the outside: real files in, real files out, read back by independent means."""

import dataclasses
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
import torch
from helpers.clips import write_clip, write_images, write_png

from vshdr import ConvertOptions, Expander, ExpandOptions, convert
from vshdr.cli.main import main
from vshdr.colour.transfer import pq_decode
from vshdr.media.read.exr import read_exr
from vshdr.media.read.reader import open_source, read_sdr

FAST = {"model": "expandmap", "preset": "ultrafast"}


def run(*arguments, check=True, **kwargs):
    result = subprocess.run(
        [sys.executable, "-m", "vshdr", *map(str, arguments)], capture_output=True, text=True, **kwargs
    )
    if check:
        assert result.returncode == 0, result.stderr
    return result


def decode(path):
    """Time in seconds and luma codes of every frame of a video with more than eight bits."""

    def luma(frame):
        plane = frame.planes[0]
        return np.frombuffer(plane, np.uint16).reshape(plane.height, -1)[:, : plane.width]

    with av.open(path) as container:
        return [(frame.pts * frame.time_base, luma(frame)) for frame in container.decode(video=0)]


def times(path):
    with av.open(path) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write_clip(tmp_path_factory.mktemp("clip") / "clip with ünicode.mkv", frames=12, size=(96, 64))


def test_video_and_exr_of_one_pass_hold_the_same_light(clip, tmp_path):
    summary = convert(
        clip,
        tmp_path / "out.mkv",
        tmp_path / "shot.####.exr",
        **FAST,
        crf=0.0,
        pixel_format="yuv444p10le",
        dither="none",
    )
    assert summary.frames == 12
    frames = decode(tmp_path / "out.mkv")
    assert len(frames) == 12 and len(list(tmp_path.glob("shot.*.exr"))) == 12
    for index in (0, 11):
        rgb, _ = read_exr(tmp_path / f"shot.{1001 + index}.exr")
        white_patch = rgb[:, 2:10, 2:10].mean() * 203
        luma = (frames[index][1][2:10, 2:10].mean() - 64) / 876
        assert pq_decode(torch.tensor(luma)).item() == pytest.approx(float(white_patch), rel=0.05)


def test_timestamps_of_variable_frame_rate_are_kept(tmp_path):
    source = write_clip(tmp_path / "vfr.mkv", frames=8, pts=[0, 40, 80, 200, 240, 333, 500, 501])
    convert(source, tmp_path / "out.mkv", **FAST)
    assert times(tmp_path / "out.mkv") == times(source)


def test_exr_equals_the_expander_to_the_last_bit_of_half(clip, tmp_path):
    convert(clip, tmp_path / "shot.####.exr", model="bt2446a", gamma=1.2)
    source = open_source(clip)
    expander = Expander("bt2446a", gamma=1.2, eotf=source.signal.eotf)
    for frame, sdr in read_sdr(source):
        wanted = expander.expand(sdr[None])[0].half().float().numpy()
        np.testing.assert_array_equal(read_exr(tmp_path / f"shot.{1001 + frame.index}.exr")[0], wanted)


def test_images_become_exr(tmp_path):
    folder = write_images(tmp_path / "frames", count=3, depth=16)
    convert(folder, tmp_path / "out.####.exr", exr_start=1)
    assert sorted(path.name for path in tmp_path.glob("out.*")) == ["out.0001.exr", "out.0002.exr", "out.0003.exr"]


def test_a_single_image_needs_no_number(tmp_path):
    folder = write_images(tmp_path / "frames", count=1, depth=8)
    convert(next(folder.iterdir()), tmp_path / "one.exr")
    assert (tmp_path / "one.exr").exists()


def test_a_script_is_a_source(tmp_path):
    script = tmp_path / "clip.vpy"
    script.write_text(
        "import vapoursynth as vs\n"
        "clip = vs.core.std.BlankClip(width=64, height=48, length=5, format=vs.YUV420P10, color=[700, 512, 512])\n"
        "clip.set_output()\n"
    )
    summary = convert(script, tmp_path / "out.mp4", **FAST)
    assert summary.frames == 5 and len(decode(tmp_path / "out.mp4")) == 5


def test_outputs_of_one_name_in_two_folders_are_both_complete(clip, tmp_path):
    outputs = [tmp_path / folder / name for folder in "ab" for name in ("out.mkv", "shot.####.exr")]
    for folder in "ab":
        (tmp_path / folder).mkdir()
    frames = convert(clip, *outputs, preset="ultrafast").frames
    for folder in "ab":
        assert len(times(tmp_path / folder / "out.mkv")) == frames
        assert len(list((tmp_path / folder).glob("*.exr"))) == frames


def test_previews_are_pictures(clip, tmp_path):
    convert(clip, tmp_path / "out.####.exr", preview=2, preview_dir=str(tmp_path / "look"))
    names = sorted(path.name for path in (tmp_path / "look").iterdir())
    assert names == ["preview.000003.png", "preview.000009.png"]
    before = (tmp_path / "look" / names[0]).read_bytes()
    with pytest.raises(ValueError, match=r"preview\.000003\.png exists already"):
        convert(clip, tmp_path / "other.####.exr", gamma=1.3, preview=2, preview_dir=str(tmp_path / "look"))
    assert (tmp_path / "look" / names[0]).read_bytes() == before
    convert(clip, tmp_path / "film.part1.mkv", tmp_path / "shot.####.exr", preview=1, preset="ultrafast")
    assert (tmp_path / "film.part1_previews").is_dir()
    convert(clip, tmp_path / "sea_v2.####.exr", preview=1)
    assert (tmp_path / "sea_v2_previews").is_dir()


def test_progress_and_summary_tell_what_happened(clip, tmp_path):
    seen = []
    summary = convert(clip, tmp_path / "out.####.exr", on_progress=seen.append)
    assert seen and seen[-1].done <= 12 and seen[-1].total == 12 and seen[-1].limiting in summary.busy
    assert set(summary.busy) >= {"decode", "network", "light"}
    assert 203 < summary.light["max_cll"] <= 1000


def test_resume_keeps_good_frames_and_remakes_bad_ones(clip, tmp_path):
    pattern = tmp_path / "shot.####.exr"
    convert(clip, pattern)
    files = sorted(tmp_path.glob("*.exr"))
    wanted = [read_exr(path)[0] for path in files]
    files[3].write_bytes(files[3].read_bytes()[:700])
    files[4].unlink()
    kept = files[0].stat().st_mtime_ns
    assert convert(clip, pattern, resume=True).frames == 2
    assert files[0].stat().st_mtime_ns == kept
    for path, rgb in zip(files, wanted, strict=True):
        np.testing.assert_array_equal(read_exr(path)[0], rgb)
    assert convert(clip, pattern, resume=True).frames == 0


def test_frames_of_a_longer_run_are_named(clip, tmp_path):
    convert(clip, tmp_path / "shot.####.exr")
    shorter = write_clip(tmp_path / "short.mkv", frames=10, size=(96, 64))
    notes = convert(shorter, tmp_path / "shot.####.exr", overwrite=True).notes
    assert any("shot.1011.exr to shot.1012.exr" in note for note in notes)


def test_resume_with_other_options_is_refused(clip, tmp_path):
    convert(clip, tmp_path / "shot.####.exr")
    with pytest.raises(ValueError, match="resume"):
        convert(clip, tmp_path / "shot.####.exr", gamma=1.2, resume=True)


def test_resume_with_other_numbers_or_other_pictures_is_refused(tmp_path):
    folder = write_images(tmp_path / "frames", count=3)
    convert(folder, tmp_path / "a.####.exr")
    assert convert(folder, tmp_path / "a.####.exr", resume=True).frames == 0
    with pytest.raises(ValueError, match="resume needs the same"):
        convert(folder, tmp_path / "a.####.exr", resume=True, exr_start=1002)
    (tmp_path / "a.1002.exr").unlink()
    write_png(folder / "frame.0002.png", np.full((30, 40, 3), 200, np.uint8))
    with pytest.raises(ValueError, match="resume needs the same"):
        convert(folder, tmp_path / "a.####.exr", resume=True)


def test_resume_with_another_clip_of_the_same_name_is_refused(tmp_path):
    source = tmp_path / "clip.vpy"
    script = """import vapoursynth as vs
vs.core.std.BlankClip(format=vs.RGB24, width=16, height=16, length=2, color=[{}] * 3).set_output()"""
    source.write_text(script.format(200))
    convert(source, tmp_path / "a.####.exr")
    convert(source, tmp_path / "a.####.exr", resume=True)
    source.write_text(script.format(100))
    with pytest.raises(ValueError, match="resume needs the same"):
        convert(source, tmp_path / "a.####.exr", resume=True)


def slow_script(folder, frames, seconds=0.1):
    """A source that takes its time for each frame, so that there is something to kill."""
    script = folder / f"{seconds}.vpy"
    script.write_text(
        "import time, vapoursynth as vs\n"
        f"clip = vs.core.std.BlankClip(width=64, height=48, length={frames}, format=vs.YUV420P8,\n"
        "                                color=[180, 120, 130])\n"
        f"def wait(n, f):\n    time.sleep({seconds})\n    return f\n"
        "vs.core.std.ModifyFrame(clip, clip, wait).set_output()\n"
    )
    return script


def wait_for(condition, process):
    for _ in range(600):
        if condition():
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("it never came to that")


def start(*arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "vshdr", "convert", *map(str, arguments), "--quiet"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell has what it runs in the background ignore it, tests with all that they start included.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.slow
def test_a_killed_exr_run_resumes_to_the_same_result(tmp_path):
    script = slow_script(tmp_path, 20)
    process = start(script, tmp_path / "a.####.exr")
    wait_for(lambda: len(list(tmp_path.glob("a.*.exr"))) >= 5, process)
    process.kill()
    process.wait()
    assert len(list(tmp_path.glob("a.????.exr"))) < 20
    convert(script, tmp_path / "a.####.exr", resume=True)
    convert(slow_script(tmp_path, 20, seconds=0), tmp_path / "b.####.exr")
    for number in range(1001, 1021):
        np.testing.assert_array_equal(
            read_exr(tmp_path / f"a.{number}.exr")[0], read_exr(tmp_path / f"b.{number}.exr")[0]
        )


def test_a_killed_video_run_leaves_nothing_under_the_final_name(tmp_path):
    process = start(slow_script(tmp_path, 60), tmp_path / "out.mkv", "--preset", "ultrafast")
    wait_for(lambda: list(tmp_path.glob("out.partial*")), process)
    time.sleep(1)
    process.kill()
    process.wait()
    assert not (tmp_path / "out.mkv").exists()


def test_an_interrupted_video_run_leaves_a_playable_partial_file(tmp_path):
    process = start(
        slow_script(tmp_path, 100),
        tmp_path / "out.mkv",
        "--preset",
        "ultrafast",
        "--encoder-options",
        "rc-lookahead=1:bframes=0:frame-threads=1",
    )
    wait_for(lambda: list(tmp_path.glob("out.partial*")), process)
    time.sleep(2.5)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and "interrupted" in errors
    assert not (tmp_path / "out.mkv").exists()
    (partial,) = tmp_path.glob("out.partial*")
    with av.open(partial) as container:
        assert container.streams.video[0].codec_context.color_trc == 16
        assert len(list(container.decode(video=0))) > 3


def test_existing_outputs_are_left_alone_unless_told(clip, tmp_path):
    target = tmp_path / "out.mkv"
    target.write_text("precious")
    with pytest.raises((ValueError, OSError), match="overwrite"):
        convert(clip, target, **FAST)
    assert target.read_text() == "precious"
    convert(clip, target, overwrite=True, **FAST)
    assert len(decode(target)) == 12


def test_the_command_prints_a_summary_and_quiet_prints_nothing(clip, tmp_path):
    result = run("convert", clip, tmp_path / "a.####.exr")
    assert "12 frames" in result.stderr and "a.1001.exr" in result.stderr and "busy" in result.stderr
    result = run("convert", clip, tmp_path / "b.####.exr", "--quiet")
    assert result.stderr == "" and result.stdout == ""


def test_the_summary_has_no_empty_line_and_no_light_where_nothing_was_measured(clip, tmp_path, capsys):
    arguments = ["convert", str(clip), str(tmp_path / "a.####.exr"), "--resume"]
    assert main(arguments) == 0
    first = capsys.readouterr().err
    assert main(arguments) == 0
    second = capsys.readouterr().err
    assert "" not in first.splitlines() and "MaxCLL" in first
    assert second.splitlines()[1].startswith("0 frames") and "MaxCLL" not in second


def test_every_option_is_a_flag(capsys):
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    text = capsys.readouterr().out
    for cls in (ExpandOptions, ConvertOptions):
        for field in dataclasses.fields(cls):
            assert "--" + field.name.replace("_", "-") in text


def test_help_does_not_load_torch():
    code = (
        "import sys, vshdr, vshdr.cli.main\n"
        "try:\n    vshdr.cli.main.main(['convert', '--help'])\n"
        "except SystemExit:\n    assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


def test_models_and_weights_are_listed(capsys):
    assert main(["models"]) == 0
    assert "expandmap" in capsys.readouterr().out
    assert main(["weights", "list"]) == 0
    assert "hdrcnn" in capsys.readouterr().out
