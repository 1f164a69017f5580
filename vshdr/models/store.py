"""Models with their weights: building them by name, and converting and averaging files of weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from vshdr.errors import InputError, OutputExistsError
from vshdr.models import registry
from vshdr.models.contract import Display, Model
from vshdr.weights.catalogue import Catalogue
from vshdr.weights.files import metadata, read, sha256, write


def catalogue() -> Catalogue:
    """Return the weights of all models that can be had by name."""
    return Catalogue({name: registry.card(name).weights for name in registry.names()})


def build(name: str, weights: str, display: Display) -> Model:
    """Return the model `name` for `display`, in evaluation mode, in float32 on the CPU, without gradients.

    `weights` is a file or a name of the catalogue; "" takes the first on the model's card. Raise InputError for an
    unknown name, for weights given to an operator, and for a file that does not fit; OSError for one that cannot be
    read.
    """
    model_class = registry.model_class(name)
    if model_class.card.network:
        path = catalogue().locate(weights, name)
        model = model_class(display).load(read(path), str(path))
    elif weights:
        raise InputError(f"{name} is an operator without weights; leave out weights '{weights}'")
    else:
        model = model_class(display)
    return model.eval().requires_grad_(False)


def untrained(name: str, display: Display, *, seed: int, backbone: str = "random") -> Model:
    """Return the network `name` before any training, on the CPU, with gradients.

    The same `seed` gives the same weights. The CPU's global random generator is left as it was. With `backbone`
    "imagenet" the network's backbone starts from its published weights, as far as it has some.

    Raise InputError for an unknown name and for an operator, which has nothing to train; MissingPackageError where the
    published weights are not installed.
    """
    model_class = registry.model_class(name)
    if not model_class.card.network:
        raise InputError(f"{name} is an operator without weights; it cannot be trained")
    with torch.random.fork_rng(devices=[]):
        # PyTorch's layers draw their first weights from the global generator, so that is the one that is seeded.
        generator = torch.manual_seed(seed)
        model = model_class(display)
        model.initialise(generator)
    if backbone == "imagenet":
        model.load_pretrained_backbone()
    return model


def convert_weights(source: str | Path, target: str | Path, *, half: bool = False) -> str:
    """Write the weights in `source` as safetensors, in this package's own names, and return the model that they fit.

    With `half` they are rounded to half precision. The new file's metadata are those of `source`, the name of `source`
    and its SHA-256, and the model's name. Raise InputError where `source` fits no network or `target` does not end in
    .safetensors, OSError where `source` cannot be read, and OutputExistsError where `target` exists.
    """
    source, target = Path(source), Path(target)
    _check_target(target)
    model = _fitting(source)
    _write(model, target, half, metadata(source) | {"source": source.name, "sha256": sha256(source)})
    return model.card.name


def average_weights(sources: Sequence[str | Path], target: str | Path, *, half: bool = False) -> str:
    """Write the mean of the weights in `sources`, and return the model that they fit.

    `sources` are weights of one network from several steps of one training. What a network learns late, it learns
    from its few scenes by heart; a mean of early and late weights keeps what both know (Wortsman et al. 2022, "Robust
    fine-tuning of zero-shot models"). The new file's metadata are those of the first of `sources`, with the names of
    all. Raise what `convert_weights` raises, and InputError where `sources` are of different networks.
    """
    paths, target = [Path(source) for source in sources], Path(target)
    _check_target(target)
    model, *others = (_fitting(path) for path in paths)
    for path, other in zip(paths[1:], others, strict=True):
        if other.card.name != model.card.name:
            names = f"{model.card.name}, {path} of {other.card.name}"
            raise InputError(f"weights of different networks have no mean: {paths[0]} is of {names}")
    states = [network.state_dict() for network in (model, *others)]
    model.load_state_dict({name: torch.stack([state[name] for state in states]).mean(0) for name in states[0]})
    source = "mean of " + ", ".join(path.name for path in paths)
    _write(model, target, half, metadata(paths[0]) | {"source": source})
    return model.card.name


def _check_target(target: Path) -> None:
    if target.suffix.lower() != ".safetensors":
        raise InputError(f"{target} must end in .safetensors")
    if target.exists():
        raise OutputExistsError(f"{target} is there already; give another name")


def _fitting(source: Path) -> Model:
    """Return the network that the weights in `source` fit. Raise InputError with all misfits where there is none.

    The network that the file itself names is tried first, because two networks may have tensors of the same shapes.
    """
    state = read(source)
    networks = [name for name in registry.names() if registry.card(name).network]
    named = metadata(source).get("model")
    misfits = []
    for name in sorted(networks, key=lambda name: name != named):
        try:
            return registry.model_class(name)(Display()).load(state, str(source))
        except InputError as error:
            misfits.append(str(error))
    raise InputError("; ".join(misfits))


def _write(model: Model, target: Path, half: bool, made: dict[str, str]) -> None:
    state = model.half().state_dict() if half else model.state_dict()
    write(state, target, model.card.name, made)
