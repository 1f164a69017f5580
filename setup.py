"""Builds the VapourSynth plugin; everything else about the package stands in pyproject.toml.

VapourSynth loads every native library below `<site-packages>/vapoursynth/plugins` when a core is created, so the plugin
is compiled as the "extension" `vapoursynth.plugins.vshdr.libvshdr`: a plain shared library that knows nothing of
Python's ABI.
"""

import re
import sys
from pathlib import Path

import vapoursynth
from setuptools import Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

if sys.platform == "win32":
    raise SystemExit("vshdr's plugin builds on Linux and macOS; on Windows, run it in WSL")

PLUGIN = Path("vshdr/plugin")
MACOS = sys.platform == "darwin"


def version() -> str:
    """`vshdr.__version__`, read without importing the package, which may need what is not installed yet."""
    return re.search(r'^__version__ = "(.+)"', Path("vshdr/__init__.py").read_text(), re.MULTILINE)[1]


class BuildPlugin(build_ext):
    """Compiles a shared library without module suffix, and puts the manifest beside it."""

    def run(self) -> None:
        self.inplace = False
        if self.editable_mode:
            # VapourSynth looks at the disk, not at import finders: an editable wheel must hold the library itself.
            # Setuptools lets its install commands write into that wheel.
            self.build_lib = self.get_finalized_command("install").install_lib
        super().run()
        library = Path(self.get_ext_fullpath(self.extensions[0].name))
        self.copy_file(PLUGIN / "manifest.vs", library.with_name("manifest.vs"))

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + (".dylib" if MACOS else ".so")

    def get_outputs(self) -> list[str]:
        library = Path(self.get_ext_fullpath(self.extensions[0].name))
        return [str(library), str(library.with_name("manifest.vs"))]


class AnyPythonWheel(bdist_wheel):
    """The library is not linked to Python, so one wheel per platform serves every Python 3."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


plugin = Extension(
    "vapoursynth.plugins.vshdr.libvshdr",
    sources=[str(source) for source in sorted(PLUGIN.glob("*.c"))],
    depends=[str(header) for header in PLUGIN.glob("*.h")],
    include_dirs=[vapoursynth.get_include()],
    define_macros=[("VSHDR_VERSION", f'"{version()}"')],
    extra_compile_args=["-std=c11", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden"],
    libraries=[] if MACOS else ["dl"],
)

setup(ext_modules=[plugin], cmdclass={"build_ext": BuildPlugin, "bdist_wheel": AnyPythonWheel})
