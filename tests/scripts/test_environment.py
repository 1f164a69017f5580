"""The scripts find a Python that fits wherever it is, and say what is missing where there is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ENVIRONMENT = Path(__file__).parents[2] / "scripts" / "environment"
NO_VENV, NO_LIBRARY, OLD = "ensurepip", "INSTSONAME", "version_info"
"""What `scripts/environment` asks a Python about each property."""


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A machine with a shell and no Python: `repo/scripts/environment`, `bin` for PATH and `home`."""
    scripts, tools = tmp_path / "a repo" / "scripts", tmp_path / "bin"
    for folder in (scripts, tools, tmp_path / "home"):
        folder.mkdir(parents=True)
    shutil.copy(ENVIRONMENT, scripts)
    for tool in ("bash", "dirname"):
        (tools / tool).symlink_to(shutil.which(tool))
    return tmp_path


def add_python(path: Path, lacking: str = "") -> Path:
    """This Python under another name; one that fails when asked about what it is `lacking`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    refuse = f'case "$*" in *{lacking}*) exit 1;; esac\n' if lacking else ""
    answer = 'case "$*" in *INSTSONAME*) exit 0;; esac\n'  # tests must pass on a Python without a library, too
    path.write_text(f'#!{shutil.which("bash")}\n{refuse}{answer}exec "{sys.executable}" "$@"\n')
    path.chmod(0o755)
    return path


def call(machine: Path, function: str, **variables: str) -> subprocess.CompletedProcess[str]:
    source = f'source "{machine}/a repo/scripts/environment"'
    script = f"set -euo pipefail; {source}; system_wide() {{ :; }}; {function}"  # not this machine's own Pythons
    variables = {"PATH": str(machine / "bin"), "HOME": str(machine / "home"), **variables}
    return subprocess.run(["bash", "-c", script], env=variables, cwd="/", capture_output=True, text=True)


def test_python_on_the_path_comes_first(machine: Path) -> None:
    first = add_python(machine / "bin" / "python3.13")
    add_python(machine / "home" / ".pyenv" / "versions" / "3.12.7" / "bin" / "python3")
    found = call(machine, "find_python")
    assert (found.returncode, found.stdout, found.stderr) == (0, f"{first}\n", "")


@pytest.mark.parametrize(
    "place",
    [Path(".pyenv", "versions", "3.12.7"), Path("miniforge3/envs/some env"), Path(".local/share/uv/python/3.12")],
)
def test_python_off_the_path_is_found(machine: Path, place: str) -> None:
    add_python(machine / "bin" / "python3", lacking=OLD)
    hidden = add_python(machine / "home" / place / "bin" / "python3")
    assert call(machine, "find_python").stdout == f"{hidden}\n"


def test_folders_named_by_variables_are_searched(machine: Path) -> None:
    pyenv = add_python(machine / "my pyenv" / "versions" / "3.14.0" / "bin" / "python3")
    assert call(machine, "find_python", PYENV_ROOT=str(machine / "my pyenv")).stdout == f"{pyenv}\n"


def test_uv_is_asked(machine: Path) -> None:
    managed = add_python(machine / "elsewhere" / "python3.12")
    uv = machine / "bin" / "uv"
    uv.write_text(f'#!{shutil.which("bash")}\necho "{managed}"\n')
    uv.chmod(0o755)
    assert call(machine, "find_python").stdout == f"{managed}\n"


def test_python_that_vspipe_can_load_is_preferred(machine: Path) -> None:
    static = add_python(machine / "bin" / "python3.14", lacking=NO_LIBRARY)
    found = call(machine, "find_python")
    assert found.stdout == f"{static}\n" and "vspipe will not run" in found.stderr
    shared = add_python(machine / "bin" / "python3.12")
    assert call(machine, "find_python").stdout == f"{shared}\n"


@pytest.mark.parametrize(
    ("lacking", "sentence"), [(OLD, "needs Python 3.12 or newer"), (NO_VENV, "install python3-venv")]
)
def test_unfit_python_is_named(machine: Path, lacking: str, sentence: str) -> None:
    unfit = add_python(machine / "bin" / "python3", lacking=lacking)
    found = call(machine, "set_up")
    assert found.returncode != 0 and found.stdout == ""
    assert sentence in found.stderr and str(unfit) in found.stderr


def test_no_python_and_no_compiler_are_said(machine: Path) -> None:
    nothing = call(machine, "set_up", HOME="")
    assert nothing.returncode != 0 and "needs Python 3.12 or newer, and there is no" in nothing.stderr
    compiler = call(machine, "check_compiler")
    assert compiler.returncode != 0 and "needs a C compiler" in compiler.stderr


def test_folder_that_is_no_environment_is_left_alone(machine: Path) -> None:
    add_python(machine / "bin" / "python3.12")
    keepsake = machine / "a repo" / ".venv" / "keepsake"
    keepsake.parent.mkdir()
    keepsake.touch()
    refused = call(machine, "set_up")
    assert refused.returncode != 0 and "is no virtual environment" in refused.stderr and keepsake.exists()
