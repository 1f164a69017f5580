"""The fingerprint reads whole files of weights, so it is made only where frames may be resumed, and once."""

from __future__ import annotations

from pathlib import Path

import pytest
from helpers.clips import write_clip

from vshdr import ConvertOptions, Expander, convert
from vshdr.conversion.resume import fingerprint
from vshdr.media.read.source import Source

pytestmark = pytest.mark.usefixtures("one_thread")


def test_only_sequences_ask_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "clip.mkv", frames=2, size=(64, 48))
    made: list[str] = []

    def counted(clip: Source, expander: Expander, options: ConvertOptions) -> str:
        made.append(fingerprint(clip, expander, options))
        return made[-1]

    monkeypatch.setattr("vshdr.conversion.run.fingerprint", counted)
    convert(clip, tmp_path / "a.mkv", codec="ffv1", device="cpu", model="none")
    assert made == []
    convert(clip, tmp_path / "a.####.exr", tmp_path / "b.####.exr", device="cpu", model="none")
    assert len(made) == 1
