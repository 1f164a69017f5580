"""`vshdr train` and `vshdr clean` as commands: tiny runs, what they say, and what they leave."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import OpenEXR
import pytest

from vshdr.cli.main import main
from vshdr.synthetic.panoramas import procedural_panorama

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def panoramas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("panoramas")
    for seed, word in enumerate("abcdefghij"):  # pictures that differ in a number only would be one scene
        pixels = np.ascontiguousarray(procedural_panorama(seed, 128).permute(1, 2, 0).numpy())
        OpenEXR.File({}, {"RGB": pixels}).write(str(folder / f"place_{word}.exr"))
    return folder


def train(panoramas: Path, output: Path, *more: str) -> int:
    small = ["--size", "64", "64", "--batch", "1", "--steps", "2", "--validation", "2", "--validate-every", "1"]
    small += ["--sheet", "0", "--backbone", "random", "--device", "cpu", "--condition", "ideal", "--log-every", "1"]
    return main(["train", "--data", str(panoramas), "--output", str(output), *small, *more])


def test_training_says_how_it_goes_and_where_its_weights_are(panoramas: Path, tmp_path: Path, capsys) -> None:
    assert train(panoramas, tmp_path / "run") == 0
    *steps, end = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in steps] == ["step 0", "step 1", "step 2"]
    assert end.startswith("ended after 2 steps (")
    assert Path(end.rsplit(" in ", 1)[1]).is_file()


def test_training_writes_its_log_for_tensorboard_too(panoramas: Path, tmp_path: Path, monkeypatch) -> None:
    """Every number of the log under its path. A stand-in takes them, as the package is no dependency."""
    scalars: dict[tuple[str, int], float] = {}

    class SummaryWriter:
        def __init__(self, folder: Path, purge_step: int | None) -> None:
            assert folder == tmp_path / "run" / "tensorboard" and purge_step is None

        def add_scalar(self, name: str, value: float, step: int) -> None:
            scalars[name, step] = value

        def close(self) -> None:
            scalars["closed", 0] = 1.0

    stand_in = ModuleType("torch.utils.tensorboard")
    stand_in.__dict__["SummaryWriter"] = SummaryWriter
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", stand_in)
    assert train(panoramas, tmp_path / "run", "--tensorboard") == 0
    records = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    validations = {r["step"]: r["validation"]["loss"] for r in records if "validation" in r}
    assert len(validations) == 3 and scalars.pop(("closed", 0)) == 1.0
    assert {step: scalars["validation/loss", step] for step in validations} == validations


def test_training_for_tensorboard_without_the_package_says_what_to_install(panoramas, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    assert train(panoramas, tmp_path / "run", "--tensorboard") == 1
    assert "pip install tensorboard" in capsys.readouterr().err


def test_cleaning_names_what_it_flags_and_deletes_nothing(panoramas: Path, tmp_path: Path, capsys) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(panoramas, folder)
    OpenEXR.File({}, {"RGB": np.zeros((64, 128, 3), np.float32)}).write(str(folder / "night.exr"))
    before = sorted(folder.iterdir())
    arguments = ["--detector", "isolation_forest", "--contamination", "0.09"]
    assert main(["clean", str(folder), str(tmp_path / "report"), *arguments]) == 0
    out, err = capsys.readouterr()
    assert "night.exr: " in out and len(out.splitlines()) == 1
    assert "1 of 11 pictures are flagged" in err
    assert (tmp_path / "report" / "outliers.csv").is_file() and sorted(folder.iterdir()) == before
