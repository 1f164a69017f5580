"""`scripts/check` runs every check, says how each one ended, and fails where one of them does."""

import shutil
import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "scripts" / "check"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository whose tools all succeed."""
    for folder in ("scripts", "vshdr/plugin", ".venv/bin"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(CHECK, tmp_path / "scripts")
    (tmp_path / "scripts" / "environment").write_text(
        f"repo={tmp_path}\npython={tmp_path}/.venv/bin/python\nsay() {{ echo $* >&2; }}\nset_up() {{ :; }}\n"
    )
    (tmp_path / "vshdr" / "plugin" / "plugin.c").touch()
    for tool in ("ruff", "basedpyright", "clang-format", "python"):
        add_tool(tmp_path / ".venv" / "bin" / tool)
    add_tool(tmp_path / "scripts" / "sanitise")
    return tmp_path


def add_tool(path: Path, says: str = "", status: int = 0) -> None:
    path.write_text(f"#!{shutil.which('bash')}\necho '{says}'\nexit {status}\n")
    path.chmod(0o755)


def call(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([repository / "scripts" / "check", *arguments], capture_output=True, text=True)


def test_all_is_well(repository):
    done = call(repository)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == 7 and all(line.startswith("ok ") for line in lines)
    assert len(call(repository, "--fast").stdout.splitlines()) == len(lines) - 1


@pytest.mark.parametrize("tool", [".venv/bin/ruff", ".venv/bin/clang-format", ".venv/bin/python", "scripts/sanitise"])
def test_one_failure_is_told_and_the_others_go_on(repository, tool):
    add_tool(repository / tool, says="plugin.c:3: a fault", status=3)
    done = call(repository)
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    failed = sum(line.startswith("FAILED") for line in lines)
    assert failed == (2 if tool.endswith("ruff") else 1)
    assert sum(line.startswith("ok ") for line in lines) == 7 - failed
    assert lines.count("    plugin.c:3: a fault") == failed


def test_other_arguments_are_refused(repository):
    done = call(repository, "--quick")
    assert done.returncode == 2 and done.stdout == "" and "--quick" in done.stderr
