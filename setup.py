"""Builds the two native libraries. Everything else about the package is in pyproject.toml.

VapourSynth loads every native library below `<site-packages>/vapoursynth/plugins` when a core is created, so the plugin
is compiled as the "extension" `vapoursynth.plugins.vshdr.libvshdr`. The kernels lie beside the Python that calls them.
Both are plain shared libraries that do not depend on Python's ABI.
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
KERNELS = Path("vshdr/kernels")
MACOS = sys.platform == "darwin"


def version() -> str:
    """Return `vshdr.__version__` without importing the package, whose dependencies may not be installed yet."""
    found = re.search(r'^__version__ = "(.+)"', Path("vshdr/__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit("vshdr/__init__.py does not set __version__")
    return found[1]


class BuildLibraries(build_ext):
    """Builds shared libraries under plain names, and copies the manifest beside the plugin."""

    def run(self) -> None:
        self.inplace = False
        if self.editable_mode:
            # VapourSynth looks for plugins on disk and knows nothing of Python's import finders, so an editable wheel
            # must hold the plugin itself. The wheel is made of what is in `install_lib`.
            install = self.get_finalized_command("install")
            self.build_lib = install.install_lib  # pyright: ignore[reportAttributeAccessIssue]  # not in its stub
        super().run()
        self.copy_file(PLUGIN / "manifest.vs", self._built(plugin).with_name("manifest.vs"))
        if self.editable_mode:  # the source tree is the package then, so the kernels belong there
            self._built(kernels).replace(KERNELS / self._built(kernels).name)

    def _built(self, extension: Extension) -> Path:
        return Path(self.get_ext_fullpath(extension.name))

    def get_ext_filename(self, fullname: str) -> str:
        return fullname.replace(".", "/") + (".dylib" if MACOS else ".so")

    def get_outputs(self) -> list[str]:
        built = [self._built(plugin), self._built(plugin).with_name("manifest.vs"), self._built(kernels)]
        return [str(file) for file in built if file.exists()]


class AnyPythonWheel(bdist_wheel):
    """Makes one wheel per platform for every Python 3, because the libraries are not linked to Python."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


WARNINGS = ["-Wall", "-Wextra", "-fvisibility=hidden"]

plugin = Extension(
    "vapoursynth.plugins.vshdr.libvshdr",
    sources=[str(source) for source in sorted(PLUGIN.glob("*.c"))],
    depends=[str(header) for header in PLUGIN.glob("*.h")],
    include_dirs=[vapoursynth.get_include()],
    define_macros=[("VSHDR_VERSION", f'"{version()}"')],
    extra_compile_args=["-std=c11", "-O2", *WARNINGS],
    libraries=[] if MACOS else ["dl"],
)

kernels = Extension(
    "vshdr.kernels.libkernels",
    sources=[str(source) for source in sorted(KERNELS.glob("*.c"))],
    depends=[str(header) for header in KERNELS.glob("*.h")],
    # These let the compiler vectorise loops. -ffast-math would do more, but loses NaN and infinity.
    extra_compile_args=["-std=c11", "-O3", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
    + ["-fopenmp-simd", *WARNINGS],
    extra_link_args=[] if MACOS else ["-pthread"],
)

setup(ext_modules=[plugin, kernels], cmdclass={"build_ext": BuildLibraries, "bdist_wheel": AnyPythonWheel})
