"""A model's card: what others must know about it without asking for its class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from vshdr.weights.entries import Entry


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a network is trained unless the user says otherwise. Adam's betas are 0.9 and 0.999 for all networks."""

    loss: str
    """What reconstruction minimises, a key of `vshdr.training.losses.LOSSES`."""
    stability: str = ""
    """The term of the stability phase, a key of `vshdr.training.stability_terms.STABILITY`."""
    alpha: float | None = None
    """Share of that term in the loss, 0 to 1; None takes the share that was published with the term."""
    rate: float
    """Adam's learning rate at the start, or its highest where it rises first."""
    schedule: str
    """How the rate changes. constant; staircase: times `decay` after each epoch; cosine: a linear rise, then half a
    cosine down to 1 % of `rate`."""
    batch: int
    """Crops per step."""
    size: tuple[int, int]
    """Width and height of training crops in pixels."""
    epochs: int
    """Length of the training; `epochs * epoch` steps."""
    epoch: int
    """Steps of an epoch. The virtual camera never repeats a picture, so an epoch is a number of steps by definition."""
    decay: float = 0.99
    """Factor of the staircase, per epoch."""
    ema: float = 0.0
    """Decay of the moving average of the weights, per step; 0 for no average."""
    clip: float = 0.0
    """Largest norm of the gradient; 0 for no limit."""
    turned: float = 0.0
    """Share of views that the camera turns by right angles, 0 to 1. It makes few scenes last longer."""


@dataclass(frozen=True, kw_only=True)
class Card:
    """What the Expander, training and users must know about a model. It belongs to the class and never changes."""

    name: str
    """The name that users ask for, as in `--model gainmap`."""
    summary: str
    """One sentence: what the model does to a picture, or when to take it."""
    source: str
    """The publication or standard that it comes from."""

    multiple: int = 1
    """Frame sides must be multiples of this many pixels. The Expander pads by reflection and crops afterwards. Tiles
    start at multiples of it."""
    context: int = 0
    """How far a pixel of the output can depend on the input, in pixels. Tiles that overlap by this much equal the whole
    frame."""
    whole_frame: bool = False
    """Whether `Model.summarise` looks at the whole frame, also when the frame is then worked on in tiles."""
    bounded: bool = False
    """Whether the output never exceeds `Display.headroom`, so that the Expander need not roll it off."""
    highlights_only: bool = False
    """Whether the output depends on the network only where the SDR is clipped. Stability terms then look nowhere
    else."""
    precision: str = "fp32"
    """The best precision on a GPU, which `precision="auto"` takes: fp32, bf16 or fp16. On a CPU auto is fp32."""
    recordable: bool = True
    """Whether `forward` never waits for its device, so that it can be recorded as a CUDA graph."""
    tile: int = 0
    """Side of the tiles that limit memory on a CPU, in pixels, where the user asks for none; 0 for whole frames."""

    weights: tuple[Entry, ...] = ()
    """Weights that can be had by name, the default first. Empty for operators."""
    recipes: Mapping[str, Recipe] = field(default_factory=dict)
    """How to train it, by phase: "reconstruction" and "stability". Empty for operators."""

    @property
    def network(self) -> bool:
        """Whether the model is a network, which needs weights. A card without weights and recipes is an operator's."""
        return bool(self.weights or self.recipes)
