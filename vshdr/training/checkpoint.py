"""Checkpoints, from which a run goes on, and the metadata of weights, which say how they came to be."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vshdr import __version__
from vshdr.errors import FileError, InputError
from vshdr.models.contract import Model
from vshdr.options.train import TrainOptions
from vshdr.runtime.files import atomic_write

CHANGEABLE = (
    *("resume", "output", "data", "without", "device", "precision"),
    *("steps", "minutes", "patience", "validate_every", "log_every", "sheet", "keep", "tensorboard"),
)
"""Options that may change when a run goes on: where its files are, when it ends, and what it reports."""
_RENAMED = {"encoder": "backbone"}
"""Options by the names that they had in earlier versions."""


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint, whole or not at all. `state` holds tensors, numbers, text, lists and dictionaries."""
    with atomic_write(path) as part:
        torch.save(state, part)


def load(path: Path) -> dict[str, Any]:
    """Return what `save` wrote; nothing in the file is run as code.

    Raise FileError where there is no file, and InputError where it is damaged, both naming it.
    """
    if not path.is_file():
        raise FileError(f"there is no run to resume: {path} does not exist")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise InputError(f"{path} is damaged or not a checkpoint") from error


def named_as_today(state: dict[str, Tensor], model: Model, prefix: str) -> dict[str, Tensor]:
    """Return a state dict of a module that holds `model` under `prefix`, where `state` may be of an earlier version."""
    own = {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
    others = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    return others | {prefix + name: tensor for name, tensor in model.from_published(own).items()}


def resumed(options: TrainOptions, begun: dict[str, Any]) -> TrainOptions:
    """Return the options of a run that goes on: what `options` leaves at its default is as it was `begun`.

    Raise InputError for a change that would make it a different run.
    """
    begun = {_RENAMED.get(name, name): value for name, value in begun.items()}
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
    """Return the metadata of a weights file. Folders are given by their last name only, because the file may travel."""
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
    """Return the command line of the same training."""
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
