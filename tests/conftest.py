"""What all tests share: the profile of property tests, private folders for configuration and caches, vspipe, and torch
on one thread.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

try:
    import hypothesis
except ImportError:  # a machine on which not everything can be installed still runs all other tests
    collect_ignore_glob = ["*_properties.py"]
else:
    # Every run tries the same examples, so that it fails or passes as the code does. To look for new ones:
    # scripts/test --hypothesis-profile=hunt
    hypothesis.settings.register_profile("ci", max_examples=40, deadline=None, derandomize=True, database=None)
    hypothesis.settings.register_profile("hunt", max_examples=2000, deadline=None, database=None)
    hypothesis.settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    # Before anything imports vapoursynth: neither the user's configuration nor the user's cache is read or written.
    scratch = tempfile.mkdtemp(prefix="vshdr-tests-")
    config.add_cleanup(lambda: shutil.rmtree(scratch, ignore_errors=True))
    for variable in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "HYPOTHESIS_STORAGE_DIRECTORY"):
        folder = Path(scratch, variable)
        folder.mkdir()
        os.environ[variable] = str(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what is marked `cuda` where there is no CUDA device."""
    marked = [item for item in items if item.get_closest_marker("cuda")]
    if marked:
        import torch

        if not torch.cuda.is_available():
            for item in marked:
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def vspipe() -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Run this environment's vspipe with the given arguments and return what it wrote."""
    import vapoursynth

    # Tells vspipe which Python to run, whether or not an environment is activated.
    subprocess.run([sys.executable, "-m", "vapoursynth", "config"], check=True, capture_output=True)
    command = Path(vapoursynth.__file__).with_name("vspipe")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([command, *map(str, arguments)], capture_output=True, timeout=60)

    return run


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: on pictures as small as those of tests, more threads only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
