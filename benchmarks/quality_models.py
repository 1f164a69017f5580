"""The participants of the quality benchmark: the package's models, two references, and pictures that another program
made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from quality_shots import Shot
from torch import Tensor

from vshdr import Expander, models
from vshdr.camera.hdr_files import read_hdr
from vshdr.colour.primaries import luminance
from vshdr.colour.transfer import EOTF
from vshdr.metrics.stops import FLOOR, stops
from vshdr.temporal.warp import warp

WHITE = 203.0
"""Nits of SDR white."""
OPERATOR_PEAK = 1000.0
"""Nits that operators expand to. BT.2446 is made for it, and none of them gains from brighter mid-tones."""
_KNEE, _POWER = 0.5, 3.0


@dataclass(frozen=True)
class Answer:
    """Linear light, 1.0 = SDR white, BT.709."""

    frames: Tensor
    """T x 3 x H x W, of the shot's frames."""
    moved: Tensor | None
    """1 x 3 x H x W, of `Shot.moved`. None where other programs or smoothing have no answer."""


Entrant = Callable[[Shot], Answer]


def entrants(
    weights: Mapping[str, str],
    folders: Mapping[str, Path],
    peak: float,
    device: str,
    chosen: tuple[str, ...] = (),
    smooth: int = 0,
) -> dict[str, Entrant]:
    """Return the participants by name.

    These are the `chosen` models, or all that can run here: operators, references, and networks whose first weights are
    on this machine. All of `weights` and `folders` join them. Each network takes part once more with its gain smoothed
    over `smooth` frames on either side, if that is not 0.

    `weights` are files by a model's name, or by "model:anything" for a second one. `peak` is the luminance of networks'
    brightest output in nits. Raise ValueError for names that do not exist, OSError for weights that are not here.
    """

    def network(label: str, file: str = "") -> dict[str, Entrant]:
        chosen = {"weights": file, "white": WHITE, "peak": peak, "device": device}
        made = {label: _expand(Expander(label.partition(":")[0], **chosen))}
        if smooth:
            smoothed = Expander(label.partition(":")[0], smooth=smooth, **chosen)
            made[f"{label}, smoothed"] = lambda shot: Answer(smoothed.expand(shot.sdr), None)
        return made

    known = [*models.names(), *REFERENCES]
    for name in (*chosen, *(label.partition(":")[0] for label in weights)):
        if name not in known:
            raise ValueError(f"there is no model '{name}'; choose from {', '.join(known)}")
    found: dict[str, Entrant] = {}
    for name in models.names():
        if not models.card(name).network:
            if not chosen or name in chosen:
                found[name] = _expand(Expander(name, white=WHITE, peak=OPERATOR_PEAK, device=device))
        elif name not in weights and (name in chosen or (not chosen and at_hand(name))):
            found |= network(name)
    found |= {name: entrant for name, entrant in REFERENCES.items() if not chosen or name in chosen}
    for label, file in weights.items():
        found |= network(label, file)
    return found | {name: _read(folder) for name, folder in folders.items()}


def at_hand(name: str) -> bool:
    """Say whether a network's first weights are in the package or in the cache."""
    try:
        models.catalogue().locate("", name)
    except (OSError, ValueError):
        return False
    return True


def knee(sdr: Tensor) -> Tensor:
    """Return the linearised SDR v up to the knee k = 0.5, and k (v / k)^3 above it, N x 3 x H x W.

    It keeps the grade below the knee and undoes a shoulder above it; SDR white becomes 4. R, G and B of a pixel are
    multiplied by the factor of the largest.
    """
    linear = EOTF["bt1886"](sdr)
    brightest = linear.amax(dim=1, keepdim=True)
    return linear * (brightest / _KNEE).clamp_min(1.0).pow(_POWER - 1.0)


def oracle_const(shot: Shot, sdr: Tensor, clipped: Tensor) -> Tensor:
    """Return the linearised SDR with every clipped pixel, in its own colour, at the truth's mean over clipped pixels,
    taken in stops.

    It shows what is gained by knowing how bright highlights are on average, but not which of them is how bright.
    """
    linear = EOTF["bt1886"](sdr)
    # NaN where nothing is clipped; then nothing is filled.
    level = torch.exp2(stops(shot.truth)[shot.clipped].mean()) - FLOOR
    return torch.where(clipped, linear * level / luminance(linear).clamp_min(FLOOR), linear)


def _expand(expander: Expander) -> Entrant:
    return lambda shot: Answer(expander.expand(shot.sdr), expander.expand(shot.moved))


def _oracle(shot: Shot) -> Answer:
    middle = shot.clipped[shot.middle, None].float()
    moved = oracle_const(shot, shot.moved, warp(middle, shot.move) >= 0.5)
    return Answer(oracle_const(shot, shot.sdr, shot.clipped), moved)


REFERENCES: dict[str, Entrant] = {
    "knee": lambda shot: Answer(knee(shot.sdr), knee(shot.moved)),
    "oracle_const": _oracle,
}


def export(shot: Shot, folder: Path) -> None:
    """Write what models see as 8-bit PNG: SCENE_CONDITION_FRAME.png, and SCENE_CONDITION_moved.png for the
    equivariance error.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, sdr in zip(_file_names(shot), (*shot.sdr, shot.moved[0]), strict=True):
        pixels = (sdr * 255.0).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(np.ascontiguousarray(pixels)).save(folder / f"{name}.png")


def _read(folder: Path) -> Entrant:
    """Read the EXRs that another program made of exported PNGs: of the same names, linear, 1.0 = SDR white,
    BT.709.
    """

    def answer(shot: Shot) -> Answer:
        *names, moved = (folder / f"{name}.exr" for name in _file_names(shot))
        frames = torch.stack([_picture(path, shot) for path in names])
        return Answer(frames, _picture(moved, shot)[None] if moved.exists() else None)

    return answer


def _picture(path: Path, shot: Shot) -> Tensor:
    if not path.exists():
        raise OSError(f"{path} is not there; make it of {path.stem}.png, which --export writes")
    picture = read_hdr(path)
    if picture.shape != shot.sdr.shape[1:]:
        raise ValueError(f"{path} is {tuple(picture.shape)}, its frame {tuple(shot.sdr.shape[1:])}")
    return picture


def _file_names(shot: Shot) -> list[str]:
    return [*(f"{shot.name}_{index:04d}" for index in range(len(shot.sdr))), f"{shot.name}_moved"]
