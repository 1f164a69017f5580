"""The benchmark of stability terms as a user runs it, tiny."""

import importlib
import json
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from safetensors import safe_open

from vshdr.synthetic.panoramas import procedural_panorama

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_every_term_goes_on_from_one_base(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    stability_terms = importlib.import_module("stability_terms")
    monkeypatch.setitem(stability_terms.TERMS, "gainmap", ("highlight",))
    data, out = tmp_path / "data", tmp_path / "out"
    data.mkdir()
    for index, word in enumerate("abcdefghij"):
        pixels = np.ascontiguousarray(procedural_panorama(index, 128).permute(1, 2, 0).numpy())
        OpenEXR.File({}, {"RGB": pixels}).write(str(data / f"place_{word}.exr"))
    arguments = ["--data", str(data), "--out", str(out), "--model", "gainmap", "--size", "64", "64", "--limit", "1"]

    stability_terms.main([*arguments, "--base-steps", "1", "--steps", "1"])
    report = json.loads((out / "quality.json").read_text())
    runs = {"none", "gainmap:base", "gainmap:control", "gainmap:highlight"}
    assert all(report["summary"][condition].keys() == runs for condition in ("broadcast", "still"))
    assert "still_highlights" in report["summary"]["still"]["gainmap:highlight"]

    with safe_open(out / "highlight" / "final.safetensors", "pt") as weights:
        told = weights.metadata()["command"]
    assert "--weights final.safetensors" in told and "--stability highlight" in told

    before = {path: path.stat().st_mtime_ns for path in out.glob("*/final.safetensors")}
    assert len(before) == 3
    monkeypatch.setattr(stability_terms.quality, "main", lambda arguments: None)  # scored above; only training counts
    stability_terms.main([*arguments, "--base-steps", "1", "--steps", "1"])
    assert {path: path.stat().st_mtime_ns for path in before} == before
