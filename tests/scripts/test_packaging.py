"""What pip gets: the source distribution, the wheel and the editable wheel, and the plugin where VapourSynth looks for
it.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
import vapoursynth as vs

import vshdr

ROOT = Path(__file__).parents[2]
LIBRARY = "libvshdr.dylib" if sys.platform == "darwin" else "libvshdr.so"
KERNELS = "vshdr/kernels/libkernels" + Path(LIBRARY).suffix
PLUGIN = {f"vapoursynth/plugins/vshdr/{LIBRARY}", "vapoursynth/plugins/vshdr/manifest.vs"}

pytestmark = pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="not run from a source tree")


def build(kind: str, source: Path, target: Path) -> Path:
    """One of the build backend's hooks (sdist, wheel, editable), as pip calls it without isolation. Warnings of C are
    errors.
    """
    target.mkdir()
    code = f"from setuptools import build_meta; build_meta.build_{kind}({str(target)!r})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=source,
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"CFLAGS": "-Werror"},
    )
    assert done.returncode == 0, done.stderr
    return next(target.iterdir())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory) -> Path:
    """A source distribution, unpacked; built from a copy, because setuptools writes into the tree that it builds."""
    folder = tmp_path_factory.mktemp("sdist")
    shutil.copytree(ROOT / "vshdr", folder / "tree" / "vshdr", ignore=shutil.ignore_patterns("__pycache__"))
    for file in (path for path in ROOT.iterdir() if path.is_file()):
        shutil.copy(file, folder / "tree")
    archive = build("sdist", folder / "tree", folder / "dist")
    with tarfile.open(archive) as tar:
        tar.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


@pytest.fixture(scope="module")
def wheel(sdist, tmp_path_factory) -> zipfile.ZipFile:
    return zipfile.ZipFile(build("wheel", sdist, tmp_path_factory.mktemp("wheel") / "dist"))


def metadata(wheel: zipfile.ZipFile, name: str) -> Message:
    return Parser().parsestr(wheel.read(f"vshdr-{vshdr.__version__}.dist-info/{name}").decode())


def test_source_distribution_has_what_the_build_needs(sdist):
    files = {str(path.relative_to(sdist)) for path in sdist.rglob("*")}
    sources = {
        str(path.relative_to(ROOT))
        for pattern in ("plugin/*.c", "plugin/*.h", "plugin/manifest.vs", "kernels/*.c", "kernels/*.h")
        for path in (ROOT / "vshdr").glob(pattern)
    }
    assert sources and sources | {"setup.py", "pyproject.toml", "LICENSE", "README.md", "vshdr/py.typed"} <= files


def test_wheel_serves_every_python_on_one_platform(wheel):
    described = metadata(wheel, "WHEEL")
    (tag,) = described.get_all("Tag", [])
    assert tag.startswith("py3-none-") and not tag.endswith("-any")
    assert described["Root-Is-Purelib"] == "false"


def test_wheel_holds_plugin_modules_and_data(wheel):
    files = set(wheel.namelist())
    assert PLUGIN | {KERNELS} <= files
    assert {"vshdr/py.typed", "vshdr/plugin/bridge.py", "vshdr/cli/main.py"} <= files
    data = {
        str(path.relative_to(ROOT))
        for pattern in ("weights/*.safetensors", "weights/*.json", "weights/LICENSE-APACHE", "report/assets/*")
        for path in (ROOT / "vshdr").glob(pattern)
    }
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "vshdr").rglob("*.py")}
    assert data | modules <= files
    assert not [name for name in files if name.endswith((".c", ".h")) or name.startswith(("tests/", "benchmarks/"))]
    assert wheel.read("vapoursynth/plugins/vshdr/manifest.vs").decode().split("\n")[:2] == [
        "[VapourSynth Manifest V1]",
        "libvshdr",
    ]


def test_wheel_metadata(wheel):
    described = metadata(wheel, "METADATA")
    assert described["Version"] == vshdr.__version__
    assert described["Requires-Python"] == ">=3.12"
    assert described["License-Expression"] == "BSD-3-Clause AND Apache-2.0"
    needed = " ".join(described.get_all("Requires-Dist", []))
    for name in (
        "vapoursynth",
        "torch",
        "numpy",
        "av",
        "OpenEXR",
        "scikit-image",
        "rich",
        "platformdirs",
        "safetensors",
        "opencv-python-headless",
    ):
        assert name in needed
    scripts = wheel.read(f"vshdr-{vshdr.__version__}.dist-info/entry_points.txt").decode()
    assert "vshdr = vshdr.cli.main:main" in scripts


def test_editable_wheel_holds_the_plugin_itself(sdist, tmp_path):
    wheel = zipfile.ZipFile(build("editable", sdist, tmp_path / "dist"))
    assert PLUGIN <= set(wheel.namelist())
    # Modules stay where they are edited, and the kernels beside them.
    assert not {"vshdr/cli/main.py", KERNELS} & set(wheel.namelist()) and (sdist / KERNELS).exists()


def test_the_installed_plugin_is_found_by_autoload():
    plugin = vs.core.hdr
    assert plugin.namespace == "hdr"
    assert Path(plugin.plugin_path).parts[-4:] == ("vapoursynth", "plugins", "vshdr", LIBRARY)
