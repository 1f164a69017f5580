"""What all tests share: folders of their own for configuration and caches, and vspipe."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest


def pytest_configure(config: pytest.Config) -> None:
    # Before anything imports vapoursynth: neither the user's configuration nor the user's cache is read or written.
    scratch = tempfile.mkdtemp(prefix="vshdr-tests-")
    config.add_cleanup(lambda: shutil.rmtree(scratch, ignore_errors=True))
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        folder = Path(scratch, variable)
        folder.mkdir()
        os.environ[variable] = str(folder)


@pytest.fixture(scope="session")
def vspipe() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs this environment's vspipe with the given arguments and returns what it wrote."""
    import vapoursynth

    # Tells vspipe which Python to run, whether or not an environment is activated.
    subprocess.run([sys.executable, "-m", "vapoursynth", "config"], check=True, capture_output=True)
    command = Path(vapoursynth.__file__).with_name("vspipe")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([command, *map(str, arguments)], capture_output=True, timeout=60)

    return run
