"""The package works without the packages of its extras, and says in one sentence which one a task needs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.clips import write_clip

from vshdr.camera.hdrcnn_samples import Sample, write_sample
from vshdr.colour.camera_response import camera_response

EXTRAS = "skimage scipy sklearn imageio imageio_ffmpeg colour pycvvdp matplotlib hypothesis pytest".split()
"""Top-level modules that only the extras bring."""
BLOCKED = f"""
import sys
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec
PathFinder.find_spec = lambda name, *rest: None if name.partition(".")[0] in {EXTRAS} else find_spec(name, *rest)
"""


def run_without_extras(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BLOCKED + code, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300)


def vshdr_without_extras(*arguments: object) -> subprocess.CompletedProcess[str]:
    return run_without_extras("from vshdr.cli.main import main\nsys.exit(main(sys.argv[1:]))", *arguments)


def test_the_blocker_blocks() -> None:
    assert "No module named 'scipy'" in run_without_extras("import scipy.optimize").stderr


@pytest.mark.parametrize("arguments", [["--help"], ["convert", "--help"], ["train", "--help"]])
def test_help_needs_no_extra(arguments: list[str]) -> None:
    done = vshdr_without_extras(*arguments)
    assert done.returncode == 0 and "usage: vshdr" in done.stdout


def test_every_module_imports_without_extras() -> None:
    code = """
import importlib, pkgutil, vshdr
for module in pkgutil.walk_packages(vshdr.__path__, "vshdr."):
    if module.name.rpartition(".")[2] not in ("__main__", "libkernels"):  # the latter is a plain C library
        importlib.import_module(module.name)
"""
    done = run_without_extras(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_converting_and_measuring_flicker_need_no_extra(tmp_path: Path) -> None:
    clip, hdr = write_clip(tmp_path / "clip.mkv", frames=3), tmp_path / "hdr.####.exr"
    converted = vshdr_without_extras("convert", clip, hdr, "--device", "cpu", "--quiet")
    assert converted.returncode == 0, converted.stderr
    assert len(list(tmp_path.glob("hdr.*.exr"))) == 3
    measured = vshdr_without_extras("flicker", hdr, "--sdr", clip, "--json", tmp_path / "flicker.json")
    assert measured.returncode == 0, measured.stderr
    assert (tmp_path / "flicker.json").exists()


@pytest.mark.slow
def test_the_virtual_camera_needs_no_extra(tmp_path: Path) -> None:
    taken = vshdr_without_extras("camera", tmp_path / "pairs", "--count", 1, "--size", 64, 48, "--max-width", 256)
    assert taken.returncode == 0, taken.stderr


@pytest.mark.slow
def test_what_an_extra_is_needed_for_names_it(tmp_path: Path) -> None:
    scene = torch.rand(3, 40, 40, generator=torch.Generator().manual_seed(1))
    for number in range(10):
        write_sample(
            tmp_path / "samples", number + 1, 1, Sample(sdr=camera_response(scene), scene=scene, n=0.9, sigma=0.6)
        )
    train = [
        "train",
        "--model",
        "expandnet",
        "--data",
        tmp_path / "samples",
        "--output",
        tmp_path / "run",
        "--steps",
        1,
    ]
    for command in (train, ["clean", tmp_path / "samples", tmp_path / "report"]):
        done = vshdr_without_extras(*command)
        assert done.returncode == 1
        assert "pip install 'vshdr[train]'" in done.stderr and "Traceback" not in done.stderr
