"""The command as a whole: every command explains itself, nothing heavy is imported for that, and exit statuses hold."""

import subprocess
import sys

import pytest

import vshdr
from vshdr.cli.main import COMMANDS, main


def test_every_command_has_a_line_in_the_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line.startswith("    ")]
    names = [command.__name__.rpartition(".")[2].replace("_", "-") for command in COMMANDS]
    assert [name for name in listed if name in names] == names


def test_help_and_public_names_come_without_torch():
    code = (
        "import sys, vshdr, vshdr.cli.main\n"
        "try: vshdr.cli.main.main(['convert', '--help'])\n"
        "except SystemExit: pass\n"
        "assert issubclass(vshdr.VshdrError, Exception) and set(vshdr.__all__) <= set(dir(vshdr))\n"
        "sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--gamma" in done.stdout


def test_public_names_are_there_and_others_are_not():
    assert all(getattr(vshdr, name) for name in vshdr.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'expand_all'"):
        vshdr.expand_all  # noqa: B018


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (vshdr.VshdrError("gamma [0, 1] is wrong"), 1, "vshdr: gamma [0, 1] is wrong"),
        (RuntimeError("CUDA error:\n  an illegal access"), 1, "vshdr: CUDA error: an illegal access"),
        (KeyboardInterrupt(), 130, "vshdr: interrupted; what has its final name is complete"),
    ],
)
def test_exit_statuses(capsys, monkeypatch, error, status, told):
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("vshdr.models.names", fail)
    assert main(["models"]) == status
    assert capsys.readouterr().err.strip() == told


def test_faults_of_ours_keep_their_traceback(monkeypatch):
    def fail(*arguments: object) -> None:
        raise KeyError("gain")

    monkeypatch.setattr("vshdr.models.names", fail)
    with pytest.raises(KeyError):
        main(["models"])
