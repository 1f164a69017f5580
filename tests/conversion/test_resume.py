"""What resumed EXR frames must agree in, and what a user is told where they do not."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from helpers.clips import write_clip
from safetensors.torch import load_file, save_file

from vshdr import convert
from vshdr.expand import backends
from vshdr.media.read.exr import read_exr
from vshdr.models.gainmap import GainMap

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("resume") / "clip.mkv", frames=3, size=(64, 48))


@pytest.fixture
def packaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The packaged weights, in a file that a test may change."""
    (entry,) = GainMap.card.weights
    path = tmp_path / "packaged.safetensors"
    path.write_bytes(entry.path.read_bytes())
    monkeypatch.setattr(
        GainMap, "card", dataclasses.replace(GainMap.card, weights=(dataclasses.replace(entry, file=path),))
    )
    return path


def settings(folder: Path) -> dict:
    return json.loads(read_exr(folder / "shot.1001.exr")[1]["vshdr:settings"])


def test_other_packaged_weights_under_the_same_version_are_refused(clip: Path, tmp_path: Path, packaged: Path) -> None:
    pattern = tmp_path / "shot.####.exr"
    convert(clip, pattern, device="cpu")
    assert settings(tmp_path)["weights_sha256"] == hashlib.sha256(packaged.read_bytes()).hexdigest()
    assert convert(clip, pattern, device="cpu", resume=True).frames == 0
    state = load_file(packaged)
    name = next(name for name in sorted(state) if name.endswith("weight"))
    state[name][-1] += 1e-3  # somewhere in the middle of the file
    save_file(state, packaged)
    with pytest.raises(ValueError, match=r"other options \(weights_sha256 was \w{12}... and is \w{12}...\); resume"):
        convert(clip, pattern, device="cpu", resume=True)


def test_the_settings_that_differ_are_named(clip: Path, tmp_path: Path) -> None:
    pattern = tmp_path / "shot.####.exr"
    convert(clip, pattern, device="cpu", model="none")
    with pytest.raises(ValueError, match=r"\(gamma was 1.0 and is 1.2, tile was \[0, 0\] and is \[32, 16\]\); resume"):
        convert(clip, pattern, device="cpu", model="none", gamma=1.2, tile=(32, 16), resume=True)
    with pytest.raises(ValueError, match=r"\(model was none and is akyuz\); resume needs the same"):
        convert(clip, pattern, device="cpu", model="akyuz", resume=True)
    assert settings(tmp_path)["device"] == "cpu" and settings(tmp_path)["weights_sha256"] == ""


def test_on_a_cpu_another_batch_gives_the_same_pixels_and_is_taken(clip: Path, tmp_path: Path) -> None:
    convert(clip, tmp_path / "shot.####.exr", device="cpu", batch=1)
    convert(clip, tmp_path / "whole.####.exr", device="cpu", batch=3)
    (tmp_path / "shot.1002.exr").unlink()
    assert convert(clip, tmp_path / "shot.####.exr", device="cpu", batch=3, resume=True).frames == 1
    assert settings(tmp_path)["batch"] == 1
    for number in (1001, 1002, 1003):
        one, other = (read_exr(tmp_path / f"{name}.{number}.exr")[0] for name in ("shot", "whole"))
        np.testing.assert_array_equal(one, other)


def test_another_batch_is_refused_where_the_device_rounds_by_it(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class InBatches(backends.TorchBackend):
        def __init__(self, model, device: torch.device, precision: str = "auto") -> None:
            super().__init__(model, device, precision)
            self.one_by_one = False

    monkeypatch.setattr(backends, "TorchBackend", InBatches)
    pattern = tmp_path / "shot.####.exr"
    convert(clip, pattern, device="cpu", batch=2)
    assert convert(clip, pattern, device="cpu", batch=2, resume=True).frames == 0
    with pytest.raises(ValueError, match=r"with other options \(batch was 2 and is 3\); resume needs the same"):
        convert(clip, pattern, device="cpu", batch=3, resume=True)
