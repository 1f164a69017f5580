"""Planted outliers are found and named, and nothing is ever deleted."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

pytest.importorskip("sklearn")

from vshdr.camera.capture import write_pairs  # noqa: E402
from vshdr.camera.hdr_files import find_hdr_files  # noqa: E402
from vshdr.camera.hdrcnn_samples import Sample, write_sample  # noqa: E402
from vshdr.colour.camera_response import camera_response  # noqa: E402
from vshdr.options.tools import CaptureOptions, CleanOptions  # noqa: E402
from vshdr.synthetic.panoramas import procedural_panorama  # noqa: E402
from vshdr.training.cleaning import DETECTORS, FEATURES, clean, detect, features, without_outliers  # noqa: E402

GOOD = 60


pytestmark = pytest.mark.usefixtures("one_thread")


def tone_mapped(light: torch.Tensor) -> torch.Tensor:
    exposed = light / light.median() * 0.2
    return ((exposed / (1 + exposed)).pow(1 / 2.2) * 255).round() / 255


SPOIL = {
    "fake": tone_mapped,
    "fake2": lambda light: (light / light.median() * 0.3).clamp(0, 1).mul(255).round() / 255,
    "clipped": lambda light: light.clamp_max(float(light.flatten()[::7].quantile(0.97))),
    "clipped2": lambda light: light.clamp_max(float(light.flatten()[::7].quantile(0.95))),
    "black": lambda light: light * 0,
    "scale": lambda light: light * 5000,
}


def write(path: Path, light: torch.Tensor) -> None:
    planes = dict(zip("RGB", light.numpy(), strict=True))
    with OpenEXR.File({"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}, planes) as file:
        file.write(str(path))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 synthetic panoramas with exposures of their own, and six that were spoilt."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = torch.Generator().manual_seed(0)
    for seed in range(GOOD + len(SPOIL)):
        light = procedural_panorama(seed, 128) * float(torch.randn((), generator=generator).mul(0.5).exp2())
        if seed < GOOD:
            write(folder / f"good_{seed:02d}.exr", light)
        else:
            name, spoil = list(SPOIL.items())[seed - GOOD]
            write(folder / f"bad_{name}.exr", spoil(light))
    return folder


@pytest.mark.parametrize(
    ("detector", "least"),
    [("elliptic_envelope", 5), ("isolation_forest", 3), ("local_outlier_factor", 4), ("one_class_svm", 4)],
)
def test_planted_outliers_are_found(folder: Path, tmp_path: Path, detector: str, least: int) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    options = CleanOptions(detector=detector, contamination=len(SPOIL) / (GOOD + len(SPOIL)))
    findings = clean(folder, tmp_path / "report", options)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    flagged = [finding.path.stem for finding in findings if finding.flagged]
    assert len(flagged) == len(SPOIL)
    assert sum("bad" in name for name in flagged) >= least, flagged  # precision and recall alike, of six
    scores = [finding.score for finding in findings]
    assert scores == sorted(scores, reverse=True) and [finding.rank for finding in findings] == list(range(1, 67))
    again = clean(folder, tmp_path / "again", options)
    assert [finding.path for finding in again] == [finding.path for finding in findings]


def test_report_names_reasons_and_training_leaves_them_out(folder: Path, tmp_path: Path) -> None:
    clean(folder, tmp_path, CleanOptions(contamination=0.1))
    with (tmp_path / "outliers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == GOOD + len(SPOIL) and set(FEATURES) < set(rows[0])
    reason = {Path(row["file"]).stem: row["reason"] for row in rows}
    assert reason["bad_scale"].startswith("log2 of the median luminance") and "above" in reason["bad_scale"]
    assert "at the peak" in reason["bad_clipped"] or "at the peak" in reason["bad_clipped2"]
    assert Image.open(tmp_path / "outliers.png").size[0] > 400
    kept = without_outliers(find_hdr_files(folder), folder, tmp_path / "outliers.csv")
    assert len(kept) == GOOD + len(SPOIL) - round(0.1 * (GOOD + len(SPOIL)))
    assert folder / "bad_scale.exr" not in kept
    nothing = clean(folder, tmp_path / "none", CleanOptions(contamination=0.0))
    assert not any(finding.flagged for finding in nothing) and (tmp_path / "none/outliers.png").exists()


def test_a_file_that_cannot_be_read_is_flagged(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.glob("good_0*.exr")):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "torn.exr").write_bytes((folder / "good_00.exr").read_bytes()[:500])
    write(tmp_path / "dot.exr", torch.ones(3, 1, 1))
    dot, torn = clean(tmp_path, tmp_path / "report", CleanOptions(detector="isolation_forest", contamination=0.0))[:2]
    assert torn.path.name == "torn.exr" and torn.flagged and torn.reason.startswith("this is not a complete EXR")
    assert dot.path.name == "dot.exr" and dot.flagged and dot.reason.startswith("1 x 1 pixels")


def test_a_picture_that_belongs_to_another_light_stands_out(tmp_path: Path) -> None:
    for number in range(1, 13):
        scene = procedural_panorama(number, 64)[:, :32]
        scene = scene / scene.flatten().quantile(0.9)
        sdr = camera_response(scene.clamp_max(1.0), 0.9, 0.6)
        sdr = sdr.flip(2) if number == 5 else sdr
        write_sample(tmp_path, number, 1, Sample(sdr=sdr, scene=scene, n=0.9, sigma=0.6))
    options = CleanOptions(detector="isolation_forest", contamination=1 / 12)
    row = {path.path.stem: path for path in clean(tmp_path, tmp_path / "report", options)}["im_000005_000001"]
    assert row.flagged and row.reason.startswith("RMS difference of the SDR")


def test_pairs_of_the_camera_are_compared(tmp_path: Path) -> None:
    write_pairs(tmp_path / "pairs", CaptureOptions(count=10, size=(96, 64), condition="graded", seed=3))
    one, other = (tmp_path / "pairs" / "sdr" / f"000{number}.png" for number in (4, 5))
    one.write_bytes(other.read_bytes())
    options = CleanOptions(detector="isolation_forest", contamination=0.1)
    clean(tmp_path / "pairs", tmp_path / "report", options)
    with (tmp_path / "report" / "outliers.csv").open() as file:
        residual = {row["file"]: float(row["residual"]) for row in csv.DictReader(file)}
    swapped = residual.pop("hdr/0004.exr")
    assert swapped > 3 * max(residual.values()) > 0.0
    Image.new("RGB", (8, 8)).save(one)
    first = clean(tmp_path / "pairs", tmp_path / "again", options)[0]
    assert first.path.name == "0004.exr" and "8 x 8 pixels, but 96 x 64" in first.reason


def test_features_measure_what_they_say() -> None:
    light = torch.exp2(torch.linspace(-6, 4, 64 * 64)).reshape(1, 64, 64).expand(3, -1, -1)
    plain = features(light)
    assert plain["middle"] == pytest.approx(-1.0, abs=0.01) and plain["dynamic_range"] == pytest.approx(9.9, abs=0.05)
    assert plain["saturation"] == plain["red"] == plain["residual"] == 0.0
    assert features(light * 8)["middle"] == pytest.approx(plain["middle"] + 3, abs=0.01)
    assert features(light.clamp_max(1.0))["flat_top"] > plain["flat_top"] + 3
    assert features(torch.zeros(3, 16, 16))["black"] == pytest.approx(0.0, abs=1e-4)
    noise = torch.randn(1, 64, 64, generator=torch.Generator().manual_seed(0)) * 0.1
    assert 2 ** features(light * torch.exp2(noise))["noise"] == pytest.approx(0.1, rel=0.1)
    red = features(light * torch.tensor([2.0, 1.0, 1.0])[:, None, None])
    assert red["red"] == pytest.approx(1.0) and red["blue"] == 0.0 and red["saturation"] == pytest.approx(0.5)


def test_too_few_pictures_are_refused() -> None:
    with pytest.raises(ValueError, match="8 or more"):
        detect(np.random.rand(5, 3), CleanOptions())
    with pytest.raises(ValueError, match="choose isolation_forest"):
        detect(np.random.rand(20, 13), CleanOptions())
    with pytest.raises(ValueError, match="detector must be one of"):
        CleanOptions(detector="magic")
    assert set(DETECTORS) == set(CleanOptions.__dataclass_fields__["detector"].metadata["choices"])
