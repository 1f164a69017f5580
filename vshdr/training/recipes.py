"""How each network is trained unless one says otherwise: as its publication trained it."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from vshdr import models
from vshdr.errors import InputError
from vshdr.options.train import TrainOptions


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What a publication says about a network's training. Adam's betas are 0.9 and 0.999 everywhere."""

    loss: str
    stability: str
    """The term of the stability phase."""
    alpha: float | None = None
    """Share of that term in the loss; None takes the term's published one."""
    rate: float
    """Adam's learning rate at the start, or at its highest."""
    schedule: str
    """constant; staircase: times `decay` after each epoch; cosine: a linear rise, then a half cosine to 1 %."""
    batch: int
    size: tuple[int, int]
    """Width and height of training crops."""
    epochs: int
    epoch: int
    """Steps of an epoch: the camera never repeats a picture, so an epoch is a number of steps by definition."""
    decay: float = 0.99
    """Of the staircase, per epoch."""
    ema: float = 0.0
    """Decay of the moving average of the weights; 0 for none."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    turned: float = 0.0
    """Share of views that the camera turns by right angles, which makes few scenes last longer."""


_EXPANDNET = Recipe(
    loss="expandnet",
    stability="l2_warped",
    rate=7e-5,
    schedule="constant",
    batch=12,
    size=(256, 256),
    epochs=10_000,
    epoch=84,
)  # 1013 pictures in batches of 12
_HDRCNN = Recipe(
    loss="hdrcnn",
    stability="transform",
    rate=5e-5,
    schedule="staircase",
    batch=8,
    size=(320, 320),
    epochs=100,
    epoch=5000,
)
_GAINMAP = Recipe(
    loss="highlight",
    stability="highlight",
    rate=2e-3,
    schedule="cosine",
    batch=16,
    size=(256, 256),
    epochs=40,
    epoch=500,
    ema=0.999,
    clip=1.0,
    turned=0.25,
)

RECIPES: dict[tuple[str, str], Recipe] = {
    ("expandnet", "reconstruction"): _EXPANDNET,
    ("expandnet", "stability"): dataclasses.replace(_EXPANDNET, epochs=1600),
    ("hdrcnn", "reconstruction"): _HDRCNN,
    ("hdrcnn", "stability"): dataclasses.replace(_HDRCNN, epochs=10),
    ("gainmap", "reconstruction"): _GAINMAP,
    ("gainmap", "stability"): dataclasses.replace(_GAINMAP, rate=1e-3, batch=8, epochs=10),
}
"""By model and phase."""


def resolve(options: TrainOptions) -> TrainOptions:
    """`options` with the recipe's value for all that was left open.

    Raise InputError where crops are no multiples of what the model needs.
    """
    recipe = RECIPES[options.model, options.phase]
    size = options.size if options.size != (0, 0) else recipe.size
    multiple = models.describe(options.model).multiple
    if any(side % multiple for side in size):
        raise InputError(f"size must be in multiples of {multiple} for {options.model}, not {list(size)}")
    stability = (options.stability or recipe.stability) if options.phase == "stability" else ""
    return dataclasses.replace(
        options,
        loss=options.loss or recipe.loss,
        alpha=recipe.alpha if options.alpha is None else options.alpha,
        stability=stability,
        steps=options.steps or recipe.epochs * recipe.epoch,
        batch=options.batch or recipe.batch,
        size=size,
        rate=recipe.rate if options.rate is None else options.rate,
        schedule=options.schedule or recipe.schedule,
        ema=recipe.ema if options.ema is None else options.ema,
        clip=recipe.clip if options.clip is None else options.clip,
    )


def rate_at(step: int, options: TrainOptions) -> float:
    """Return the learning rate of step `step`, from 0, under resolved `options`; a function of nothing else, so that
    a resumed run needs no state of a scheduler.
    """
    recipe = RECIPES[options.model, options.phase]
    if options.schedule == "constant":
        return options.rate
    if options.schedule == "staircase":
        return options.rate * recipe.decay ** (step // recipe.epoch)
    rise = max(1, min(500, options.steps // 20))
    if step < rise:
        return options.rate * (step + 1) / rise
    done = min(1.0, (step - rise) / max(1, options.steps - rise))
    return options.rate * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * done)))
