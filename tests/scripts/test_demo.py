"""The first of README's two commands, as a new user runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPO = Path(__file__).parents[2]


@pytest.mark.slow
@pytest.mark.skipif(
    not (REPO / ".venv" / "installed").exists() or not Path(sys.executable).is_relative_to(REPO / ".venv"),
    reason="needs the environment that scripts/test makes",
)
def test_demo_makes_what_it_says(tmp_path: Path) -> None:
    done = subprocess.run(
        [REPO / "scripts" / "demo", tmp_path], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, done.stderr
    assert {"harbour.mkv", "harbour-vapoursynth.mkv", "exr", "previews"} <= {path.name for path in tmp_path.iterdir()}
    assert len(list((tmp_path / "exr").glob("harbour.*.exr"))) == 72
    for name in ("harbour.mkv", "harbour-vapoursynth.mkv"):
        assert f"{name}: primaries 9, transfer 16, matrix 9" in done.stdout
    assert str(tmp_path) in done.stdout
