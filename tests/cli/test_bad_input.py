"""Whatever is wrong with what a user brings gets one sentence that names it, a non-zero exit, and nothing is lost."""

import os
import pickle
import resource
import subprocess
import sys

import av
import numpy as np
import pytest
import torch
from helpers.clips import write_clip, write_images, write_png
from helpers.published_weights import expandnet_state
from PIL import Image
from safetensors.torch import save_file

from vshdr import models
from vshdr.cli.main import main


@pytest.fixture(scope="module")
def material(tmp_path_factory):
    """A folder of inputs, good and bad, that no test writes to."""
    folder = tmp_path_factory.mktemp("mätérial with space")
    good = write_clip(folder / "good.mkv")
    whole = good.read_bytes()
    (folder / "zero.mkv").write_bytes(b"")
    (folder / "text.mp4").write_text("This is not a film.\n" * 100)
    (folder / "noise.mkv").write_bytes(np.random.default_rng(0).bytes(5000))
    (folder / "truncated.mkv").write_bytes(whole[: len(whole) * 2 // 3])
    write_clip(folder / "pq.mkv", tags=(9, 16, 9))
    write_clip(folder / "hlg.mkv", tags=(9, 18, 9))
    write_clip(folder / "odd.mkv", size=(191, 107), codec="ffv1", pixel_format="yuv444p")
    write_clip(folder / "three.mkv", size=(3, 3), codec="ffv1", pixel_format="yuv444p")
    write_clip(folder / "one.mkv", size=(1, 1), codec="ffv1", pixel_format="yuv444p")
    small, large = write_clip(folder / "a.ts", size=(64, 48)), write_clip(folder / "b.ts", size=(96, 64))
    (folder / "sizes.ts").write_bytes(small.read_bytes() + large.read_bytes())
    with av.open(folder / "sound.mka", "w") as container:
        stream = container.add_stream("pcm_s16le", rate=48000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 4800), np.int16), format="s16", layout="mono")
        sound.rate = 48000
        container.mux(stream.encode(sound))
        container.mux(stream.encode())
    (folder / "empty").mkdir()
    write_images(folder / "gap", count=5)
    (folder / "gap" / "frame.0003.png").unlink()
    write_images(folder / "mixed", count=2)
    write_images(folder / "wide", count=1, size=(80, 20))
    (folder / "wide" / "frame.0001.png").rename(folder / "mixed" / "frame.0003.png")
    (folder / "fails.vpy").write_text("import vapoursynth as vs\nvs.core.no.such_filter()\n")
    (folder / "syntax.vpy").write_text("clip = = 3\n")
    (folder / "silent.vpy").write_text("import vapoursynth as vs\n")
    (folder / "hdr.vpy").write_text(
        "import vapoursynth as vs\nc = vs.core.std.BlankClip(format=vs.YUV420P10, length=3)\n"
        "c.std.SetFrameProps(_Transfer=16).set_output()\n"
    )
    (folder / "midway.vpy").write_text(
        "import vapoursynth as vs\nc = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=9)\n"
        "def f(n, f):\n    if n == 4:\n        raise RuntimeError('tape torn')\n    return f\n"
        "vs.core.std.ModifyFrame(c, c, f).set_output()\n"
    )
    (folder / "variable.vpy").write_text(
        "import vapoursynth as vs\na = vs.core.std.BlankClip(format=vs.YUV420P8, width=64, height=48, length=2)\n"
        "b = vs.core.std.BlankClip(format=vs.YUV420P8, width=32, height=48, length=2)\n"
        "vs.core.std.Splice([a, b], mismatch=True).set_output()\n"
    )
    write_weights(folder)
    return folder


class Explosive:
    """Unpickling it would write a file."""

    def __reduce__(self):
        return os.system, ("touch exploded",)


def write_weights(folder):
    state = expandnet_state()
    name = next(iter(state))
    save_file({**state, name: torch.full_like(state[name], torch.nan)}, folder / "nan.safetensors")
    save_file({**state, name: state[name][:1].contiguous()}, folder / "shape.safetensors")
    save_file({key: value for key, value in state.items() if key != name}, folder / "missing.safetensors")
    save_file({**state, "extra": torch.zeros(1)}, folder / "extra.safetensors")
    save_file({key: value.to(torch.int32) for key, value in state.items()}, folder / "integer.safetensors")
    (folder / "zero.pth").write_bytes(b"")
    (folder / "text.pth").write_text("not weights")
    (folder / "evil.pth").write_bytes(pickle.dumps(Explosive()))
    np.savez(folder / "evil.npz", params=np.array([Explosive()], dtype=object))


def fails(capsys, *arguments) -> str:
    """Runs the command and returns its one sentence."""
    status = main([str(argument) for argument in arguments])
    output = capsys.readouterr()
    assert status != 0
    assert "Traceback" not in output.err and "Traceback" not in output.out
    lines = [line for line in output.err.splitlines() if line.startswith("vshdr: ")]
    assert len(lines) == 1, output.err
    return lines[0]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("absent.mkv", "no such file"),
        ("zero.mkv", "zero.mkv"),
        ("text.mp4", "text.mp4"),
        ("noise.mkv", "noise.mkv"),
        ("truncated.mkv", "truncated.mkv"),
        ("sound.mka", "no video"),
        ("empty", "empty"),
        ("gap", "frame.0003.png"),
        ("mixed", "frame.0003.png"),
        ("pq.mkv", "already is HDR"),
        ("hlg.mkv", "already is HDR"),
        ("sizes.ts", "frame 8"),
        ("fails.vpy", "fails.vpy:2"),
        ("syntax.vpy", "syntax.vpy:1"),
        ("silent.vpy", "set_output"),
        ("hdr.vpy", "already is HDR"),
        ("midway.vpy", "tape torn"),
        ("variable.vpy", "format or size"),
    ],
)
def test_input_that_cannot_be_read(material, tmp_path, capsys, source, words):
    assert words in fails(capsys, "convert", material / source, tmp_path / "out.####.exr", "--quiet")
    fails(capsys, "convert", material / source, tmp_path / "out.mkv", "--quiet", "--preset", "ultrafast")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("output", "words"),
    [
        ("out.avi", ".mkv"),
        ("out", ".mkv"),
        ("out.exr", "####"),
        ("absent/out.mkv", "absent"),
        ("absent/out.####.exr", "absent"),
    ],
)
def test_output_names_that_do_not_fit(material, tmp_path, capsys, output, words):
    assert words in fails(capsys, "convert", material / "good.mkv", tmp_path / output, "--quiet")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "words"), [("odd.mkv", "yuv444p10le"), ("three.mkv", "16x16"), ("one.mkv", "16x16")]
)
def test_odd_sizes_work_where_they_can_and_are_refused_where_not(material, tmp_path, capsys, source, words):
    assert main(["convert", str(material / source), str(tmp_path / "out.####.exr"), "--quiet"]) == 0
    assert len(list(tmp_path.glob("out.*.exr"))) == 8
    assert words in fails(capsys, "convert", material / source, tmp_path / "out.mkv", "--quiet")
    assert (
        main(
            [
                "convert",
                str(material / source),
                str(tmp_path / "out.mkv"),
                "--quiet",
                "--codec",
                "ffv1",
                "--pixel-format",
                "yuv444p10le",
            ]
        )
        == 0
    )


def test_existing_files_are_kept(material, tmp_path, capsys):
    for name, output in (("out.mkv", "out.mkv"), ("out.1003.exr", "out.####.exr")):
        (tmp_path / name).write_text("precious")
        assert "overwrite" in fails(capsys, "convert", material / "good.mkv", tmp_path / output, "--quiet")
        assert (tmp_path / name).read_text() == "precious"


def test_the_input_is_never_an_output(material, tmp_path, capsys):
    source = write_clip(tmp_path / "in.mkv")
    before = source.read_bytes()
    assert "input" in fails(capsys, "convert", source, source, "--overwrite", "--quiet")
    assert source.read_bytes() == before
    assert "same name" in fails(capsys, "convert", source, tmp_path / "o.mkv", tmp_path / "o.mkv", "--quiet")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        ("nan.safetensors", "not finite"),
        ("shape.safetensors", "shape"),
        ("missing.safetensors", "missing"),
        ("extra.safetensors", "extra"),
        ("integer.safetensors", "integer.safetensors"),
        ("zero.pth", "zero.pth"),
        ("text.pth", "text.pth"),
        ("evil.pth", "evil.pth"),
        ("evil.npz", "evil.npz"),
        ("absent.pth", "absent.pth"),
    ],
)
def test_weights_that_do_not_fit(material, tmp_path, capsys, monkeypatch, file, words):
    monkeypatch.chdir(tmp_path)
    assert words in fails(
        capsys,
        "convert",
        material / "good.mkv",
        tmp_path / "out.####.exr",
        "--quiet",
        "--model",
        "expandnet",
        "--weights",
        material / file,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--model", "nonsense"], "unknown model"),
        (["--gamma", "9"], "gamma"),
        (["--gamma", "nan"], "gamma"),
        (["--peak", "50"], "peak"),
        (["--transfer", "hlg", "--peak", "4000"], "hlg"),
        (["--device", "abacus"], "device"),
        (["--codec", "divx"], "codec"),
        (["--pixel-format", "rgb565"], "pixel_format"),
        (["--pixel-format", "rgb24"], "pixel_format 'rgb24' is not known"),
        (["--crf", "52"], "crf of x265 is at most 51"),
        (["--pixel-format", "yuv420p"], "yuv420p"),
        (["--encoder-options", "no-such-thing=1"], "no-such-thing"),
        (["--preset", "warp"], "warp"),
        (["--frame-rate", "24"], "frame rate"),
        (["--preview", "-1"], "preview"),
        (["--codec", "ffv1", "--crf", "18"], "crf"),
        (["--weights", "x.pth", "--model", "none"], "without weights"),
        (["--model", "hdrcnn"], "vshdr weights fetch"),
    ],
)
def test_options_that_do_not_fit(material, tmp_path, capsys, monkeypatch, options, words):
    monkeypatch.setenv("VSHDR_CACHE", str(tmp_path / "cache"))
    assert words in fails(capsys, "convert", material / "good.mkv", tmp_path / "out.mkv", *options)
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize("output", ["out.mkv", "out.mp4", "out.####.exr"])
def test_a_full_disk_is_told_and_leaves_nothing_under_a_final_name(tmp_path, output):
    source = write_clip(tmp_path / "in.mkv", frames=40, size=(320, 240))
    result = subprocess.run(
        [sys.executable, "-m", "vshdr", "convert", str(source), str(tmp_path / output), "--quiet", "--crf", "2"],
        capture_output=True,
        text=True,
        # A measurement of coverage would write files, too.
        env={name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000)),
    )
    assert result.returncode == 1 and "Traceback" not in result.stderr
    assert "vshdr: " in result.stderr and len(result.stderr.strip().splitlines()) == 1
    assert not (tmp_path / output).exists() and not list(tmp_path.glob("out.[0-9]*.exr"))


def test_a_number_that_is_none_is_argparses_to_refuse(material, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["convert", str(material / "good.mkv"), str(tmp_path / "out.mkv"), "--gamma", "bright"])
    assert stop.value.code == 2 and "--gamma" in capsys.readouterr().err


def test_commands_beside_convert(material, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("VSHDR_CACHE", str(tmp_path))
    assert "nonsense" in fails(capsys, "weights", "fetch", "nonsense")
    assert "absent" in fails(capsys, "weights", "convert", tmp_path / "absent.pth")
    assert "text.pth" in fails(capsys, "weights", "convert", material / "text.pth", tmp_path / "o.safetensors")
    assert "neither PQ nor HLG" in fails(capsys, "encoder-args", material / "good.mkv")
    assert "no such file" in fails(capsys, "encoder-args", tmp_path / "absent.vpy")
    assert "text.mp4: this is not a video" in fails(capsys, "encoder-args", material / "text.mp4")
    assert "packaged" in fails(capsys, "weights", "fetch", "gainmap")
    target = tmp_path / "absent" / "o.safetensors"
    assert str(target.parent) in fails(capsys, "weights", "mean", target, models.catalogue().locate("", "gainmap"))
    assert "rate must be from 0 to 1" in fails(capsys, "train", "--rate", "inf")
    assert main(["shots", str(material / "pq.mkv"), "--allow-hdr"]) == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("absent.mkv",), "absent.mkv: there is no such file"),
        (("good.mkv", "absent.####.exr"), "absent.####.exr"),
        (("good.mkv", "--sdr", "odd.mkv"), "good.mkv is 64x48 and odd.mkv 191x107"),
        (("good.mkv", "short.mkv"), "short.mkv ends after 3 frames, good.mkv goes on"),
        (("still.png",), "at least two frames"),
        (("good.mkv", "--sdr", "pq.mkv"), "pq.mkv already is HDR"),
        (("three.mkv",), "motion can be followed from 16 pixels on"),
        (("good.mkv", "--model", "none"), "--model needs --sdr"),
        (("good.mkv", "--jod"), "--jod needs --truth"),
        (("good.mkv", "--width", "-1"), "width must be at least 0"),
        (("text.exr",), "text.exr"),
    ],
)
def test_clips_whose_flicker_cannot_be_measured(material, tmp_path, capsys, arguments, words):
    write_clip(tmp_path / "short.mkv", frames=3)
    write_png(tmp_path / "still.png", np.full((48, 64, 3), 100, np.uint8))
    (tmp_path / "text.exr").write_text("not a picture")

    def placed(argument: str) -> str:
        known = [folder / argument for folder in (tmp_path, material) if "." in argument]
        return str(next((path for path in known if path.exists()), known[1] if known else argument))

    assert words in fails(capsys, "flicker", *map(placed, arguments))


def test_reports_replace_no_input_and_say_at_once_where_they_cannot_be_written(material, tmp_path, capsys):
    target = tmp_path / "absent" / "page.html"
    assert str(target) in fails(capsys, "flicker", material / "good.mkv", "--html", target)
    clip = write_clip(tmp_path / "clip.mkv")
    before = clip.read_bytes()
    for command in (("flicker", "--json"), ("shots", "--csv"), ("shots", "--chapters")):
        assert "clip.mkv is an input" in fails(capsys, command[0], clip, command[1], clip)
    assert "is an input" in fails(capsys, "flicker", material / "good.mkv", "--sdr", clip, "--csv", clip)
    report = tmp_path / "report"
    assert "is named twice" in fails(capsys, "flicker", clip, "--json", report, "--csv", report)
    assert "this is a folder" in fails(capsys, "shots", clip, "--csv", tmp_path)
    assert clip.read_bytes() == before and not report.exists()


def test_a_picture_that_is_cut_off(material, tmp_path, capsys):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    for progressive in (False, True):
        path = tmp_path / "cut.jpg"
        Image.fromarray(pixels).save(path, quality=90, progressive=progressive)
        path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
        assert "cut.jpg" in fails(capsys, "convert", path, tmp_path / "out.exr", "--quiet")
    assert not (tmp_path / "out.exr").exists()
