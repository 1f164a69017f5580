"""EXR sequences: what is written reads back, frames are complete or absent, and resume keeps only what is right."""

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from vshdr.colour.h273 import Primaries
from vshdr.media.read.exr import read_exr
from vshdr.media.write.exr import ExrWriter

SIZE = {"width": 40, "height": 24}
RATE = Fraction(24000, 1001)


def light(seed: int = 0) -> torch.Tensor:
    return torch.rand((3, 24, 40), generator=torch.Generator().manual_seed(seed)) * 20.0


def write(pattern: Path, count: int = 3, **options) -> ExrWriter:
    writer = ExrWriter(pattern, **SIZE, frame_rate=RATE, **options)
    for index in range(count):
        writer.write(index, light(index))
    writer.finish()
    return writer


@pytest.mark.parametrize("compression", ["none", "rle", "zip", "zips", "piz"])
@pytest.mark.parametrize(("pixel_type", "dtype"), [("half", torch.float16), ("float", torch.float32)])
def test_lossless_frames_read_back(tmp_path: Path, compression: str, pixel_type: str, dtype: torch.dtype) -> None:
    write(tmp_path / "shot.####.exr", compression=compression, pixel_type=pixel_type)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"shot.{number}.exr" for number in (1001, 1002, 1003)]
    for index in range(3):
        rgb, _ = read_exr(tmp_path / f"shot.{1001 + index}.exr")
        np.testing.assert_array_equal(rgb, light(index).to(dtype).float().numpy())


@pytest.mark.parametrize("compression", ["dwaa", "dwab"])
def test_lossy_frames_are_close_and_the_level_counts(tmp_path: Path, compression: str) -> None:
    write(tmp_path / "fine.####.exr", 1, compression=compression)
    write(tmp_path / "coarse.####.exr", 1, compression=compression, dwa_level=2000.0)
    rgb, _ = read_exr(tmp_path / "fine.1001.exr")
    assert np.abs(rgb - light(0).numpy()).mean() < 0.2
    assert (tmp_path / "coarse.1001.exr").stat().st_size < (tmp_path / "fine.1001.exr").stat().st_size


def fields(time_code) -> tuple[int, ...]:
    return time_code.hours, time_code.minutes, time_code.seconds, time_code.frame


def test_attributes(tmp_path: Path) -> None:
    write(
        tmp_path / "shot.%04d.exr",
        start=86,
        white=100.0,
        primaries=Primaries.BT2020,
        settings="model=none",
        sample_aspect_ratio=Fraction(4, 3),
    )
    _, header = read_exr(tmp_path / "shot.0088.exr")
    assert header["chromaticities"] == pytest.approx((0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290))
    assert header["whiteLuminance"] == 100.0
    assert header["colorInteropID"] == "lin_rec2020_scene"
    assert header["framesPerSecond"] == RATE
    assert header["imageCounter"] == 88
    assert header["pixelAspectRatio"] == pytest.approx(4 / 3)
    assert header["vshdr:settings"] == "model=none"
    assert fields(header["timeCode"]) == (0, 0, 0, 2)


@pytest.mark.parametrize(
    ("rate", "index", "expected"),
    [
        (Fraction(24), 24 * 3723 + 5, (1, 2, 3, 5)),
        (Fraction(24000, 1001), 24, (0, 0, 1, 0)),
        (Fraction(60), 59, (0, 0, 0, 29)),
    ],
)
def test_time_code(tmp_path: Path, rate: Fraction, index: int, expected: tuple[int, ...]) -> None:
    writer = ExrWriter(tmp_path / "shot.####.exr", **SIZE, frame_rate=rate)
    writer.write(index, light())
    writer.finish()
    assert fields(read_exr(writer.path(index))[1]["timeCode"]) == expected


def test_light_beyond_half_is_clamped(tmp_path: Path) -> None:
    writer = ExrWriter(tmp_path / "sun.exr", **SIZE, frame_rate=RATE, single=True)
    writer.write(0, torch.full((3, 24, 40), 1e6))
    writer.finish()
    assert (read_exr(tmp_path / "sun.exr")[0] == 65504.0).all()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pixel_type": "uint"}, "pixel type 'uint'"),
        ({"compression": "jpeg"}, "compression 'jpeg'"),
        ({"primaries": Primaries.DISPLAY_P3}, "primaries"),
    ],
)
def test_wrong_options(tmp_path: Path, options: dict, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        ExrWriter(tmp_path / "shot.####.exr", **SIZE, frame_rate=RATE, **options)


def test_a_sequence_needs_a_counter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"shot\.exr: a sequence needs a counter"):
        ExrWriter(tmp_path / "shot.exr", **SIZE, frame_rate=RATE)


def test_a_frame_of_another_size_is_refused(tmp_path: Path) -> None:
    writer = ExrWriter(tmp_path / "shot.####.exr", **SIZE, frame_rate=RATE)
    with pytest.raises(ValueError, match="frame 3 is"):
        writer.write(3, torch.zeros(3, 24, 41))
    writer.finish()


def test_existing_frames_are_not_touched_unless_told(tmp_path: Path) -> None:
    write(tmp_path / "shot.####.exr", 1)
    with pytest.raises(ValueError, match=r"shot\.1001\.exr exists already"):
        ExrWriter(tmp_path / "shot.####.exr", **SIZE, frame_rate=RATE)
    write(tmp_path / "shot.####.exr", 1, overwrite=True, pixel_type="float")
    np.testing.assert_array_equal(read_exr(tmp_path / "shot.1001.exr")[0], light(0).numpy())


def test_resume_keeps_complete_frames_only(tmp_path: Path) -> None:
    pattern = tmp_path / "shot.####.exr"
    write(pattern, 6, settings="a")
    cut, other_type = tmp_path / "shot.1002.exr", tmp_path / "shot.1004.exr"
    cut.write_bytes(cut.read_bytes()[:-20])
    (tmp_path / "shot.1003.exr").unlink()
    write(tmp_path / "float.####.exr", 4, settings="a", pixel_type="float")
    os.replace(tmp_path / "float.1004.exr", other_type)
    (tmp_path / "shot.1006.exr").write_bytes(b"")
    writer = ExrWriter(pattern, **SIZE, frame_rate=RATE, settings="a", resume=True)
    assert [index for index in range(7) if not writer.done(index)] == [1, 2, 3, 5, 6]
    for index in (1, 2, 3, 5):
        writer.write(index, light(index))
    writer.finish()
    for index in range(6):
        np.testing.assert_array_equal(read_exr(writer.path(index))[0], light(index).half().float().numpy())


def test_resume_with_other_options_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "shot.####.exr", 1, settings="gamma=1")
    writer = ExrWriter(tmp_path / "shot.####.exr", **SIZE, frame_rate=RATE, settings="gamma=2", resume=True)
    with pytest.raises(ValueError, match=r"shot\.1001\.exr was written from another source or with other options"):
        writer.done(0)
    writer.close()


def test_without_resume_nothing_counts_as_done(tmp_path: Path) -> None:
    writer = write(tmp_path / "shot.####.exr", 1)
    assert not writer.done(0)


def test_a_full_disk_leaves_no_half_frame(tmp_path: Path) -> None:
    # A limit on file size fails as a full disk does, half-way through a frame; in a process of its own, which it also
    # limits.
    script = f"""
import resource, torch
from fractions import Fraction
from vshdr.media.write.exr import ExrWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
writer = ExrWriter({str(tmp_path / "shot.####.exr")!r}, width=200, height=100, frame_rate=Fraction(24))
try:
    for index in range(8):
        writer.write(index, torch.rand(3, 100, 200))
    writer.finish()
except OSError as error:
    print(error)
finally:
    writer.close()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "the frame cannot be written: File too large" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        ExrWriter(tmp_path / "file/shot.####.exr", **SIZE, frame_rate=RATE)


def test_what_is_no_exr(tmp_path: Path) -> None:
    (tmp_path / "in.exr").write_bytes(b"not an image at all")
    with pytest.raises(ValueError, match="not a complete EXR"):
        read_exr(tmp_path / "in.exr")
