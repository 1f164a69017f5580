"""The checker of rooms finds what it is there to find, and finds nothing in the package as it is."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT / "scripts"))

from rooms import ROOMS, complaints  # noqa: E402


def make_package(folder: Path, files: dict[str, str]) -> Path:
    """Write the package `vshdr` of these files, and `__init__.py` where a folder has none of its own."""
    package = folder / "vshdr"
    for name, text in files.items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path in [package, *(path for path in package.rglob("*") if path.is_dir())]:
        (path / "__init__.py").touch()
    return package


def test_the_package_keeps_to_its_plan():
    assert complaints(ROOT / "vshdr") == []
    rooms = {path.name for path in (ROOT / "vshdr").iterdir() if (path / "__init__.py").exists()}
    assert rooms <= set(ROOMS)


def test_imports_that_go_down_are_fine(tmp_path):
    files = {
        "__init__.py": "from vshdr.cli.main import main\n",
        "__main__.py": "from vshdr.cli.main import main\n",
        "errors/__init__.py": "import ast\n",
        "media/read/reader.py": "from vshdr.errors import InputError\nfrom vshdr.media.read import source\n",
        "media/read/source.py": "import numpy\n",
        "cli/main.py": "from vshdr import __version__, media\nimport vshdr.media.read.reader\n",
    }
    assert complaints(make_package(tmp_path, files)) == []


@pytest.mark.parametrize(
    "line",
    [
        "from vshdr.training.loop import train",
        "from vshdr.training import loop",
        "from vshdr import training",
        "import vshdr.training.loop",
        "def late():\n    from vshdr.training.loop import train",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from vshdr.training.loop import Summary",
    ],
)
def test_an_import_of_a_higher_room_is_found(tmp_path, line):
    (found,) = complaints(make_package(tmp_path, {"models/store.py": line, "training/loop.py": ""}))
    assert found.startswith("vshdr/models/store.py:") and "vshdr.training" in found and "above" in found


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("import vshdr", "the whole package"),
        ("from vshdr import convert", "the whole package"),
        ("from . import checkpoint", "whole name"),
        ("from vshdr.media.write.exr import ExrWriter", "not for the room training"),
        ("from vshdr.media import write", "not for the room training"),
    ],
)
def test_imports_that_no_order_allows_are_found(tmp_path, line, words):
    package = make_package(tmp_path, {"training/loop.py": line, "media/write/exr.py": "", "training/checkpoint.py": ""})
    (found,) = complaints(package)
    assert found.startswith("vshdr/training/loop.py:1: ") and words in found


def test_files_outside_all_rooms_are_found(tmp_path):
    found = complaints(make_package(tmp_path, {"helpers.py": "", "attic/old.py": ""}))
    names = [line.partition(":")[0] for line in found]
    assert names == [
        "vshdr/attic/__init__.py",
        "vshdr/attic/old.py",
        "vshdr/helpers.py",
    ]


def members(circle: str) -> set[str]:
    """Return the modules of a circle, wherever its line begins."""
    first, *others, last = circle.removeprefix("a circle: ").split(" -> ")
    assert first == last
    return {first, *others}


def test_circles_within_a_room_are_found(tmp_path):
    files = {
        "plugin/bridge.py": "from vshdr.plugin import clip\n",
        "plugin/clip.py": "def late():\n    from vshdr.plugin.planes import Planes\n",
        "plugin/planes.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import vshdr.plugin.bridge\n",
        "weights/__init__.py": "from vshdr.weights.files import read\n",
        "weights/files.py": "from vshdr.weights import locate\n",
    }
    found = complaints(make_package(tmp_path, files))
    assert [members(line) for line in found] == [
        {"vshdr.plugin.bridge", "vshdr.plugin.clip", "vshdr.plugin.planes"},
        {"vshdr.weights", "vshdr.weights.files"},
    ]


def test_circles_between_rooms_are_found(tmp_path):
    files = {
        "models/store.py": "from vshdr.weights.files import read\n",
        "weights/files.py": "def read():\n    from vshdr.models.store import build\n",
    }
    upward, circle = complaints(make_package(tmp_path, files))
    assert upward.startswith("vshdr/weights/files.py:2: ")
    assert members(circle) == {"vshdr.models.store", "vshdr.weights.files"}
