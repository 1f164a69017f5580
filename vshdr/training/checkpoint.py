"""What a run leaves on disk: checkpoints to go on from, whole or not at all, and what weights say of their making."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import torch

from vshdr import __version__
from vshdr.errors import FileError, InputError
from vshdr.options.train import TrainOptions
from vshdr.runtime.files import atomic_write

CHANGEABLE = (
    *("resume", "output", "data", "without", "device", "precision"),
    *("steps", "minutes", "patience", "validate_every", "log_every", "sheet", "keep", "tensorboard"),
)
"""Options that a run may go on with otherwise than it was begun: where it is, and when it ends or speaks."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint: tensors, numbers, text, lists and dictionaries."""
    with atomic_write(path) as part:
        torch.save(state, part)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint, running nothing that is in it. Raise FileError or InputError naming the file."""
    if not path.is_file():
        raise FileError(f"there is no run to resume: {path} does not exist")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is damaged or not a checkpoint") from error


def resumed(options: TrainOptions, begun: dict[str, Any]) -> TrainOptions:
    """`options` of a run that goes on, where it was `begun` with some: what is left at its default is as it was.

    Raise InputError for what cannot change, as the run would no longer be one.
    """
    values = {}
    for field in dataclasses.fields(options):
        given, was = getattr(options, field.name), begun.get(field.name, field.default)
        if given == field.default and field.name not in ("resume", "output", "device", "minutes"):
            values[field.name] = was
        elif given != was and field.name not in CHANGEABLE:
            raise InputError(
                f"{options.output} is a run with {field.name} {was}; it cannot go on with {field.name} {given}"
            )
    return dataclasses.replace(options, **values)


def provenance(options: TrainOptions, data: str, step: int, validation: float, processes: int) -> dict[str, str]:
    """Return what a weights file says about its making; folders by their last name only, for the file may travel."""
    return {
        "command": command(options, processes),
        "phase": options.phase,
        "loss": options.loss,
        "stability": options.stability,
        "data": data,
        "seed": str(options.seed),
        "steps": str(step),
        "batch": str(options.batch * processes),
        "validation_loss": f"{validation:.6g}",
        "vshdr": __version__,
        "torch": torch.__version__,
    }


def command(options: TrainOptions, processes: int = 1) -> str:
    """Return the command line that trains the same."""
    words = (
        ["vshdr", "train"] if processes == 1 else ["torchrun", f"--nproc-per-node={processes}", "-m", "vshdr", "train"]
    )
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        if value == field.default or field.name in ("output", "resume", "device", "tensorboard"):
            continue
        words.append("--" + field.name.replace("_", "-"))
        if isinstance(value, tuple):
            words += [str(side) for side in value]
        elif field.name in ("data", "without", "weights"):
            words.append(Path(value).name)
        elif not isinstance(value, bool):
            words.append(f"{value:g}" if isinstance(value, float) else str(value))
    return " ".join(words)
