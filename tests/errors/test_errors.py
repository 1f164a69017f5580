"""Errors: each is a VshdrError and the built-in that it refines, and each becomes one sentence."""

from __future__ import annotations

import inspect
from fractions import Fraction

import av
import numpy as np
import pytest
from av.error import ExternalError, FFmpegError
from av.error import OSError as FFmpegOSError

import vshdr.errors
from vshdr.errors import (
    DownloadError,
    EncodeError,
    FileError,
    InputError,
    MissingPackageError,
    OutOfMemoryError,
    OutputExistsError,
    VshdrError,
    reason,
    sentence,
)
from vshdr.media.write.encoders import VideoSettings
from vshdr.media.write.video import VideoWriter


def test_all_errors_have_one_root_and_a_built_in_beside_it():
    classes = [found for _, found in inspect.getmembers(vshdr.errors, inspect.isclass)]
    assert len(classes) > 8
    for found in classes:
        assert issubclass(found, VshdrError)
        assert found is VshdrError or issubclass(found, (ValueError, OSError, RuntimeError))
        assert found.__name__ in vshdr.errors.__all__ and found.__doc__


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (InputError("gamma must be from 0.5 to 2,\n  not 9"), "gamma must be from 0.5 to 2, not 9"),
        (FileError("a.png: this file is missing"), "a.png: this file is missing"),
        (OutputExistsError("a.mkv exists already"), "a.mkv exists already"),
        (DownloadError("the server answered 404"), "the server answered 404"),
        (MissingPackageError("install scikit-learn"), "install scikit-learn"),
        (OutOfMemoryError("lower batch"), "lower batch"),
        (FileNotFoundError(2, "No such file or directory", "a.mkv"), "a.mkv: No such file or directory"),
        (OSError("no space left"), "no space left"),
        (KeyError("gain"), "KeyError: 'gain'"),
        (ValueError(), "ValueError"),
    ],
)
def test_sentence(error, told):
    assert sentence(error) == told


def test_reason_leaves_out_file_and_number(tmp_path):
    (tmp_path / "text.mkv").write_text("not a video")
    with pytest.raises(FFmpegError) as caught:
        av.open(tmp_path / "text.mkv")
    assert reason(caught.value) == "invalid data found when processing input"
    assert reason(ValueError("Seven")) == "seven"


class FailingEncoder:
    """FFmpeg's encoder, but for one thing."""

    def __init__(self, encoder: av.VideoCodecContext, error: Exception) -> None:
        self._encoder, self._error = encoder, error

    def __getattr__(self, name: str) -> object:
        return getattr(self._encoder, name)

    def encode(self, frame: av.VideoFrame | None) -> list[av.Packet[av.VideoStream]]:
        if frame is None:
            return []
        raise self._error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ExternalError(1, "Generic error in an external library"), EncodeError),
        (FFmpegOSError(28, "No space left on device"), OSError),
    ],
)
def test_an_encoder_that_fails_is_named_and_a_full_disk_is_not_blamed_on_it(tmp_path, error, expected):
    settings = VideoSettings(width=64, height=48, time_base=Fraction(1, 24), codec="ffv1")
    planes = [np.full(shape, 512, np.uint16) for shape in settings.plane_shapes()]
    with pytest.raises(expected) as caught, VideoWriter(tmp_path / "out.mkv", settings) as writer:
        writer._encoder = FailingEncoder(writer._encoder, error)
        for pts in range(2):
            writer.write(planes, pts)
    assert isinstance(caught.value, EncodeError) == (expected is EncodeError)
    if expected is EncodeError:
        assert sentence(caught.value).startswith(f"{tmp_path / 'out.partial.mkv'}: ffv1 or the muxer failed (generic")
    assert not (tmp_path / "out.mkv").exists()
