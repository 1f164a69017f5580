"""`scripts/train` trains in two phases, goes on after an interruption, and leaves one file of weights."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

TRAIN = Path(__file__).parents[2] / "scripts" / "train"
RECORDER = """#!{bash}
echo "$(basename "$0") $*" >> "{log}"
while [[ $# -gt 0 ]]; do
    if [[ $1 == --output ]]; then
        mkdir -p "$2"
        touch "$2/last.pt"
        [[ $2 != *"$FAIL" ]] || exit 1
        touch "$2/final.safetensors"
    fi
    shift
done
exit 0
"""
"""Stands in for Python: says how it was called, and leaves the files of a run, or with FAIL of one that broke off."""


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A repository with the script, and an environment that needs no setting up."""
    repo = tmp_path / "a repo"
    (repo / ".venv" / "bin").mkdir(parents=True)
    (repo / "scripts").mkdir()
    shutil.copy(TRAIN, repo / "scripts")
    lines = (f"repo='{repo}'", "python=$repo/.venv/bin/python", 'say() { echo "$*" >&2; }', "set_up() { :; }")
    (repo / "scripts" / "environment").write_text("\n".join(lines))
    for name in ("python", "torchrun"):
        path = repo / ".venv" / "bin" / name
        path.write_text(RECORDER.format(bash=shutil.which("bash"), log=tmp_path / "log"))
        path.chmod(0o755)
    return repo


def call(repo: Path, *arguments: str, fail: str = "nowhere") -> tuple[int, list[str]]:
    """The exit status, and how Python was called."""
    log = repo.parent / "log"
    log.write_text("")
    command = ["bash", str(repo / "scripts" / "train"), *arguments]
    code = subprocess.run(command, cwd=repo.parent, env={"PATH": "/usr/bin:/bin", "FAIL": fail}).returncode
    return code, log.read_text().splitlines()


def test_it_trains_in_two_phases_and_takes_a_mean(repo: Path) -> None:
    code, (first, second, mean) = call(repo, "my panoramas", "out")
    assert code == 0
    assert first.startswith("torchrun --nproc-per-node 2") and "--data my panoramas" in first
    assert "--phase stability" in second and "--weights out/reconstruction/final.safetensors" in second
    assert "mean out/gainmap.safetensors out/stability/final.safetensors out/reconstruction/step_0001500" in mean
    assert "--resume" not in first + second


def test_it_goes_on_where_it_was_interrupted(repo: Path) -> None:
    code, lines = call(repo, "panoramas", fail="stability")
    assert code != 0 and len(lines) == 2
    code, (second, mean) = call(repo, "panoramas")
    assert code == 0 and "--phase stability" in second and second.endswith("--resume") and " mean " in mean


def test_a_third_call_has_nothing_to_do(repo: Path) -> None:
    (repo.parent / "out").mkdir()
    (repo.parent / "out" / "gainmap.safetensors").touch()
    assert call(repo, "panoramas", "out") == (0, [])


def test_it_says_how_it_is_called(repo: Path) -> None:
    assert call(repo) == (2, [])
