"""Cleaning of training data: finding pictures that do not belong, such as tone-mapped fakes, clipped suns, black frames
and wrong scales.

Each picture becomes a row of numbers, and a detector of scikit-learn finds the rows that lie apart. The result is a
report to look at: a table and a sheet of thumbnails. Nothing is deleted. `vshdr train --without` leaves out what a
report flags (`without_outliers`).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torch.nn import functional

from vshdr.camera.hdr_files import find_hdr_files, read_hdr
from vshdr.camera.hdrcnn_samples import find_samples, read_sample, read_sdr
from vshdr.colour.primaries import luminance
from vshdr.errors import InputError, MissingPackageError
from vshdr.options.tools import CleanOptions
from vshdr.runtime.files import atomic_write

FEATURES = {
    "middle": "log2 of the median luminance",
    "shadows": "stops from the darkest 1 % to the median",
    "highlights": "stops from the median to the brightest 1 %",
    "dynamic_range": "stops from the darkest 1 % to the brightest 0.1 %",
    "headroom": "stops from the brightest 10 % to the peak",
    "flat_top": "log2 of the share of pixels at the peak (within 1 %)",
    "black": "log2 of the share of black pixels",
    "levels": "log2 of the number of distinct values",
    "noise": "log2 of noise in stops",
    "saturation": "mean saturation",
    "red": "stops of red over green",
    "blue": "stops of blue over green",
    "residual": "RMS difference of the SDR picture from its light through any one curve",
}
"""What is measured of every picture, by name, in words."""

_DARKEST = 2.0**-24
_VALUES = 2**15
"""Pixels whose distinct values are counted, so that large pictures compare with small ones."""
_THUMBNAIL = 240
_SMALLEST = 8
"""Shortest side of a picture, in pixels."""
_STEPS = 256
"""Steps of the curve that explains an SDR picture best. Each has the same number of samples."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the detector says of one picture."""

    path: Path
    score: float
    """Larger is more unusual. Scores can be compared within one report only."""
    rank: int
    """1 is the most unusual."""
    flagged: bool
    """Whether it is among the share of pictures that `CleanOptions.contamination` takes for outliers."""
    reason: str
    """The feature that lies farthest from the median of all, in words."""


def features(linear: Tensor, sdr: Tensor | None = None) -> dict[str, float]:
    """Return the numbers of `FEATURES` for a picture, 3 x H x W, light as it is stored.

    The residual is that of `sdr`, code values of the same shape; without it, the residual is 0. Raise InputError for a
    tiny picture.
    """
    if min(linear.shape[1:]) < _SMALLEST:
        raise InputError(f"{linear.shape[2]} x {linear.shape[1]} pixels are too few to say anything of")
    light = luminance(linear[None])[0, 0]
    logarithm = light.clamp_min(_DARKEST).log2()
    ordered = logarithm.flatten().sort().values

    def at(share: float) -> float:
        return float(ordered[round((len(ordered) - 1) * share)])

    values = linear[1].flatten()
    values = values[:: max(1, len(values) // _VALUES)]
    most, least = linear.amax(dim=0), linear.amin(dim=0)
    red, green, blue = linear.mean(dim=(1, 2)).clamp_min(_DARKEST).log2().tolist()
    return {
        "middle": at(0.5),
        "shadows": at(0.5) - at(0.01),
        "highlights": at(0.99) - at(0.5),
        "dynamic_range": at(0.999) - at(0.01),
        "headroom": float(ordered[-1]) - at(0.9),
        "flat_top": _log_share(light >= 0.99 * light.max()),
        "black": _log_share(light <= _DARKEST),
        "levels": math.log2(len(values.unique())),
        "noise": math.log2(_noise(logarithm) + 1e-4),
        "saturation": float(((most - least) / most.clamp_min(_DARKEST)).mean()),
        "red": red - green,
        "blue": blue - green,
        "residual": 0.0 if sdr is None else _residual(linear, sdr),
    }


def _residual(linear: Tensor, sdr: Tensor) -> float:
    """Return the RMS difference of `sdr` from the best curve over `linear`, which is the mean code value of samples of
    about the same light.
    """
    steps = sdr.flatten()[linear.flatten().argsort()].tensor_split(_STEPS)
    return math.sqrt(sum(float((step - step.mean()).square().sum()) for step in steps if len(step)) / sdr.numel())


def _log_share(chosen: Tensor) -> float:
    return math.log2(float(chosen.float().mean()) + 1e-6)


def _noise(plane: Tensor) -> float:
    """Return the standard deviation of noise after Immerkaer 1996, but by the median, as edges raise the mean."""
    kernel = torch.tensor([[1.0, -2.0, 1.0], [-2.0, 4.0, -2.0], [1.0, -2.0, 1.0]])[None, None]
    response = functional.conv2d(plane[None, None], kernel)  # of standard deviation 6 for noise of 1
    return float(response.abs().median()) / 0.6745 / 6


def _isolation_forest(options: CleanOptions, table: np.ndarray) -> np.ndarray:
    from sklearn.ensemble import IsolationForest

    samples = min(256, len(table))
    # The stub knows only the default, which is a string.
    model = IsolationForest(n_estimators=100, max_samples=samples, random_state=options.seed)  # pyright: ignore[reportArgumentType]
    return -model.fit(table).score_samples(table)


def _local_outlier_factor(options: CleanOptions, table: np.ndarray) -> np.ndarray:
    from sklearn.neighbors import LocalOutlierFactor

    return -LocalOutlierFactor(n_neighbors=min(20, len(table) - 1)).fit(table).negative_outlier_factor_


def _elliptic_envelope(options: CleanOptions, table: np.ndarray) -> np.ndarray:
    from sklearn.covariance import EllipticEnvelope

    if len(table) < 3 * table.shape[1]:
        raise InputError(
            f"elliptic_envelope needs {3 * table.shape[1]} pictures or more, not {len(table)}; choose isolation_forest"
        )
    return EllipticEnvelope(support_fraction=0.8, random_state=options.seed).fit(table).mahalanobis(table)


def _one_class_svm(options: CleanOptions, table: np.ndarray) -> np.ndarray:
    from sklearn.svm import OneClassSVM

    # A wide kernel, so that scores still grow far away from the others. The usual narrow one gives them all the same.
    return -OneClassSVM(nu=0.2, gamma=0.1 / table.shape[1]).fit(table).score_samples(table)


DETECTORS: dict[str, Callable[[CleanOptions, np.ndarray], np.ndarray]] = {
    "isolation_forest": _isolation_forest,
    "local_outlier_factor": _local_outlier_factor,
    "elliptic_envelope": _elliptic_envelope,
    "one_class_svm": _one_class_svm,
}
"""Each gives scores of the rows of a table of standardised features; larger is more unusual."""


def detect(table: np.ndarray, options: CleanOptions) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of rows of features, and how many robust deviations each feature lies from the median.

    Deviations are limited to 10. A value beyond that is wrong, and how much does not matter; it should not hide others.
    Raise InputError for fewer than 8 rows, MissingPackageError where scikit-learn is not installed.
    """
    if len(table) < 8:
        raise InputError(f"outliers cannot be told among {len(table)} pictures; give 8 or more")
    try:
        import sklearn  # noqa: F401  only to say clearly that it is missing
    except ImportError:
        raise MissingPackageError(
            "cleaning needs scikit-learn and SciPy; install them with pip install 'vshdr[train]'"
        ) from None
    middle = np.median(table, axis=0)
    apart = table - middle
    # 1.4826 median deviations of normal numbers are a standard deviation. Where most pictures share a value, such as no
    # black pixels, the median deviation is 0, and the standard deviation itself is taken.
    spread = 1.4826 * np.median(np.abs(apart), axis=0)
    spread = np.where(spread > 1e-6, spread, table.std(axis=0))
    deviations = np.clip(apart / np.maximum(spread, 1e-6), -10, 10)
    varying = deviations.std(axis=0) > 0
    if not varying.any():
        return np.zeros(len(table)), deviations
    return DETECTORS[options.detector](options, deviations[:, varying]), deviations


def clean(folder: str | Path, report: str | Path, options: CleanOptions) -> list[Finding]:
    """Look for outliers among the pictures of `folder`, and write a report; nothing in `folder` is changed.

    `folder` holds .exr and .hdr files, pairs as `vshdr camera` writes them (`hdr` and `sdr`), or samples of HDRCNN's
    virtual camera (`bin` and `jpg`). The folder `report` gets `outliers.csv`, the most unusual first, with all
    features, and `outliers.png`, thumbnails of what is flagged. Return the findings in that order. A file that cannot
    be read is flagged before all others.

    Raise OSError where there are no pictures, and what `detect` raises.
    """
    folder = Path(folder)
    loaders = dict(_sources(folder))
    rows: dict[Path, dict[str, float]] = {}
    broken: dict[Path, str] = {}
    for path, load in loaders.items():
        try:
            rows[path] = features(*load())
        except ValueError as error:
            broken[path] = str(error).removeprefix(f"{path}: ")
    findings = [
        Finding(path=path, score=math.inf, rank=rank, flagged=True, reason=reason)
        for rank, (path, reason) in enumerate(broken.items(), 1)
    ]
    table = np.array([list(row.values()) for row in rows.values()])
    scores, deviations = detect(table, options)
    paths, limit = list(rows), round(options.contamination * len(rows))
    for place, row in enumerate(np.argsort(-scores, kind="stable")):
        reason = _reason(table, deviations, row)
        score, rank = float(scores[row]), len(broken) + place + 1
        findings.append(Finding(path=paths[row], score=score, rank=rank, flagged=place < limit, reason=reason))
    report = Path(report)
    report.mkdir(parents=True, exist_ok=True)
    _write_table(report / "outliers.csv", folder, findings, rows)
    # Read again: thumbnails of all pictures of a large set would not fit into memory.
    flagged = [finding for finding in findings if finding.flagged and finding.path in rows]
    sheet = _sheet(flagged, [_thumbnail(loaders[finding.path]()[0]) for finding in flagged])
    with atomic_write(report / "outliers.png") as part:
        sheet.save(part, format="PNG")
    return findings


def _write_table(path: Path, folder: Path, findings: Sequence[Finding], rows: dict[Path, dict[str, float]]) -> None:
    with atomic_write(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("rank", "file", "score", "flagged", "reason", *FEATURES))
        for finding in findings:
            values = [f"{value:.5g}" for value in rows.get(finding.path, {}).values()]
            name = finding.path.relative_to(folder).as_posix()
            writer.writerow((finding.rank, name, f"{finding.score:.5g}", int(finding.flagged), finding.reason, *values))


def without_outliers(paths: Sequence[Path], folder: str | Path, report: str | Path) -> list[Path]:
    """Return `paths`, pictures below `folder`, without those that the report, an `outliers.csv`, flags.

    Raise OSError where there is no such file, InputError where it is no report or one of another folder.
    """
    try:
        with Path(report).open(newline="", encoding="utf-8") as file:
            flagged = {row["file"]: row["flagged"] == "1" for row in csv.DictReader(file)}
    except (KeyError, UnicodeDecodeError, csv.Error):
        raise InputError(f"{report}: this is no outliers.csv of vshdr clean") from None
    names = {path: path.relative_to(folder).as_posix() for path in paths}
    if not flagged.keys() & set(names.values()):
        raise InputError(f"{report}: none of its pictures is in {folder}; it was made of another folder")
    return [path for path in paths if not flagged.get(names[path])]


Picture = tuple[Tensor, Tensor | None]
"""Light, and the SDR picture of it where there is one."""


def _sources(folder: Path) -> Iterator[tuple[Path, Callable[[], Picture]]]:
    """Yield the path of every picture, and a function that reads it."""
    if (folder / "bin").is_dir():
        for light, picture in find_samples(folder):
            yield light, lambda light=light, picture=picture: _stored(light, picture)
        return
    for path in find_hdr_files(folder):
        yield path, lambda path=path: _picture(path)


def _stored(light: Path, picture: Path) -> Picture:
    sample = read_sample(light, picture)
    return sample.scene, sample.sdr


def _picture(path: Path) -> Picture:
    """Return a picture of light, with its SDR picture where there is one.

    The two are named as `vshdr camera` does: hdr/0001.exr and sdr/0001.png, or hdr.0001.exr and sdr.0001.png.
    """
    light, sdr = read_hdr(path), None
    if path.parent.name == "hdr":
        sdr = path.parent.with_name("sdr") / f"{path.stem}.png"
    elif path.name.startswith("hdr."):
        sdr = path.with_name(f"sdr{path.stem.removeprefix('hdr')}.png")
    if sdr is None or not sdr.exists():
        return light, None
    code = read_sdr(sdr)
    if code.shape != light.shape:
        width, height = light.shape[2], light.shape[1]
        raise InputError(f"{sdr}: {code.shape[2]} x {code.shape[1]} pixels, but {width} x {height} in {path.name}")
    return light, code


def _reason(table: np.ndarray, deviations: np.ndarray, row: int) -> str:
    feature = int(np.abs(deviations[row]).argmax())
    side = "above" if deviations[row, feature] > 0 else "below"
    middle = np.median(table[:, feature])
    name = list(FEATURES.values())[feature]
    return f"{name}: {table[row, feature]:.3g}, {side} the median of {middle:.3g}"


def _thumbnail(linear: Tensor) -> Image.Image:
    """Return a small picture whose median is exposed as a mid-grey, tone-mapped by x / (1 + x) to show highlights."""
    height = max(1, round(linear.shape[1] * _THUMBNAIL / linear.shape[2]))
    small = functional.interpolate(linear[None], (height, _THUMBNAIL), mode="area")[0]
    middle = float(luminance(small[None]).median())
    exposed = small * (0.2 / max(middle, _DARKEST))
    code = (exposed / (1 + exposed)).pow(1 / 2.2)
    return Image.fromarray((code * 255).round().byte().permute(1, 2, 0).numpy())


def _sheet(findings: Sequence[Finding], thumbnails: Sequence[Image.Image], columns: int = 4) -> Image.Image:
    """Return thumbnails in rows, each with its rank, name and reason below it."""
    font, text = ImageFont.load_default(11), 44
    height = max([thumbnail.height for thumbnail in thumbnails], default=0) + text
    rows = max(1, math.ceil(len(findings) / columns))
    sheet = Image.new("RGB", (columns * (_THUMBNAIL + 8), rows * (height + 8)), (32, 32, 32))
    brush = ImageDraw.Draw(sheet)
    for place, (finding, thumbnail) in enumerate(zip(findings, thumbnails, strict=True)):
        x, y = place % columns * (_THUMBNAIL + 8) + 4, place // columns * (height + 8) + 4
        sheet.paste(thumbnail, (x, y))
        feature, _, value = finding.reason.partition(": ")
        caption = f"{finding.rank}. {finding.path.name[:34]}\n{feature[:44]}\n{value[:44]}"
        brush.multiline_text((x, y + height - text), caption, (220, 220, 220), font)
    return sheet
