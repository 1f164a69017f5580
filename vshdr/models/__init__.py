"""All models by name. A new one is a file in this folder, a line in `REGISTRY` and a test file."""

from __future__ import annotations

import importlib

from vshdr import weights as weights_room
from vshdr.errors import InputError
from vshdr.models.contract import Description, Display, Model

REGISTRY = {
    "none": "vshdr.models.operators:Linearise",
    "bt2446a": "vshdr.models.operators:BT2446A",
    "akyuz": "vshdr.models.operators:Akyuz",
    "expandmap": "vshdr.models.expandmap:ExpandMap",
    "gainmap": "vshdr.models.gainmap:GainMap",
    "expandnet": "vshdr.models.expandnet:ExpandNet",
    "hdrcnn": "vshdr.models.hdrcnn:HDRCNN",
}
DEFAULT = "gainmap"


def _model_class(name: str) -> type[Model]:
    if name not in REGISTRY:
        raise InputError(f"unknown model '{name}'; there are {', '.join(REGISTRY)}")
    module, attribute = REGISTRY[name].split(":")
    return getattr(importlib.import_module(module), attribute)


def names() -> list[str]:
    """Return the names of all models, in the order of the registry."""
    return list(REGISTRY)


def describe(name: str) -> Description:
    """Return the description of the model `name`. Raise InputError for an unknown name."""
    return _model_class(name).description


def build(name: str, weights: str, display: Display) -> Model:
    """Return the model `name` for `display`, in evaluation mode on the CPU, in float32.

    `weights` is a file or a name of the weights catalogue; "" takes the model's first. Raise InputError for an unknown
    name, for weights given to an operator, and for a file that does not fit; OSError for one that cannot be read.
    """
    model_class = _model_class(name)
    if not model_class.description.weights:
        if weights:
            raise InputError(f"{name} is an operator without weights; leave out weights '{weights}'")
        model = model_class(display)
    else:
        path = weights_room.locate(weights, name)
        model = model_class(display, weights_room.read(path), str(path))
    return model.eval().requires_grad_(False)


def untrained(name: str, display: Display) -> Model:
    """Return the network `name` as its class makes it before any training, on the CPU, with gradients.

    Raise InputError for an unknown name and for an operator, which has nothing to train.
    """
    model_class = _model_class(name)
    if not model_class.description.weights:
        raise InputError(f"{name} is an operator without weights; it cannot be trained")
    return model_class(display, None, "")
