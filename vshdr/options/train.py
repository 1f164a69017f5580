"""The options of training. Nothing heavy is imported here, so that `vshdr --help` answers at once."""

from __future__ import annotations

from dataclasses import dataclass

from vshdr.errors import InputError
from vshdr.options.declare import EXPERIMENTAL, check, option

CONDITIONS = ("mixed", "ideal", "camera", "graded", "broadcast", "still")
"""Conditions of the virtual camera, the keys of `vshdr.camera.conditions.CONDITIONS`."""
LOSS_NAMES = ("hdrcnn", "hdrcnn_log", "log", "expandnet", "highlight")
"""The keys of `vshdr.training.losses.LOSSES`."""
STABILITY_NAMES = (
    "transform",
    "sparse_jacobian",
    "noise",
    "highlight",
    "l1",
    "l2",
    "rec",
    "ssim",
    "l1_warped",
    "l2_warped",
    "rec_warped",
    "ssim_warped",
)
"""The keys of `vshdr.training.stability_terms.STABILITY`."""


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """The options of training. The recipe on the model's card decides what is left at 0, empty or None."""

    model: str = option(
        "gainmap", "the network to train: gainmap, expandnet, hdrcnn or another that `vshdr models` lists with weights"
    )
    phase: str = option(
        "reconstruction",
        "reconstruction learns the light; stability goes on with a term that makes it quiet over time",
        choices=("reconstruction", "stability"),
    )
    data: str = option(
        "",
        "folder of .hdr and .exr panoramas and photos, searched recursively, or of HDRCNN's bin and jpg; empty for "
        "scenes made by code",
    )
    without: str = option("", "outliers.csv that `vshdr clean` wrote of this folder: what it flags is left out")
    condition: str = option(
        "mixed",
        "how the virtual camera works: everything mixed, or one condition alone",
        choices=CONDITIONS,
    )
    output: str = option("training", "folder for checkpoints, weights, log and pictures")
    weights: str = option(
        "",
        "weights to start from: a file or a name of `vshdr weights list`; empty for none, but stability needs some",
    )
    backbone: str = option(
        "imagenet",
        "what the network's backbone starts from where no weights are given: imagenet is its published weights, if "
        "there are some; random is nothing",
        choices=("imagenet", "random"),
    )
    resume: bool = option(
        False,
        "go on with the run in the output folder as if it had never stopped; what is not given is as it was begun",
    )

    loss: str = option("", "what reconstruction minimises; empty for the model's own", choices=("", *LOSS_NAMES))
    stability: str = option(
        "", "term of the stability phase; empty for the model's own", choices=("", *STABILITY_NAMES)
    )
    alpha: float | None = option(
        None, "share of the stability term in the loss, 0 to 1; the published one if not given", low=0.0, high=1.0
    )
    views: str = option(
        "camera",
        "second views of the stability phase: camera turns the virtual camera and renders, "
        "compresses and adds noise anew; affine bends the first view as published",
        choices=("camera", "affine"),
    )
    motion: float = option(
        1.0,
        "factor of how far second views move: 1 for shifts of 2 pixels, turns of 1 degree and zooms of 0.03",
        low=0.0,
        high=10.0,
    )
    peak: float = option(
        1000.0, "networks with a relative output (expandnet): nits at which it is 1", low=203.0, high=10000.0
    )
    stretch: bool = option(
        False,
        "networks with a relative output (expandnet): stretch each crop's truth to its own extremes, as published; the "
        "network will then flicker",
    )

    steps: int = option(0, "steps to train for; 0 for the model's own, which are many", low=0)
    minutes: float = option(0.0, "end after so many minutes, with a checkpoint to go on from; 0 for no limit", low=0.0)
    batch: int = option(0, "crops per step and process; 0 for the model's own", low=0, high=4096)
    size: tuple[int, int] = option((0, 0), "width and height of crops in pixels; 0 0 for the model's own")
    rate: float | None = option(None, "Adam's learning rate; the model's own if not given", low=0.0, high=1.0)
    schedule: str = option(
        "",
        "how the rate falls: staircase by a hundredth per epoch, cosine from a short rise to a "
        "hundredth at the last step; empty for the model's own",
        choices=("", "constant", "staircase", "cosine"),
    )
    ema: float | None = option(
        None, "decay of the moving average of the weights, which is what is saved; 0 for none", low=0.0, high=0.999999
    )
    clip: float | None = option(None, "largest norm of the gradient; 0 for no limit", low=0.0)
    seed: int = option(
        0, "seed of weights and pictures; on a CPU the same seed gives the same weights", low=0, high=2**62
    )

    validate_every: int = option(500, "steps between validations, with checkpoint and contact sheet", low=1)
    validation: int = option(
        32, "crops of the validation set: scenes that never train, the same in every run", low=1, high=10_000
    )
    keep: bool = option(False, "keep the weights of every validation, as step_0000500.safetensors and so on")
    patience: int = option(0, "end after so many validations without a better one; 0 to go on", low=0)
    sheet: int = option(6, "validation crops on each contact sheet; 0 for no sheets", low=0)
    log_every: int = option(20, "steps between lines of the log", low=1)
    tensorboard: bool = option(False, "write the log for TensorBoard, too; needs the package tensorboard")

    device: str = option(
        "auto", f"auto takes CUDA where there is one (CUDA is {EXPERIMENTAL})", choices=("auto", "cpu", "cuda")
    )
    precision: str = option(
        "auto",
        "of the network's arithmetic in training; auto is bf16 on a GPU (fp16 where it has none) and fp32 on a CPU",
        choices=("auto", "fp32", "bf16", "fp16"),
    )

    def __post_init__(self) -> None:
        check(self)
        if len(self.size) != 2 or (min(self.size) <= 0 and self.size != (0, 0)):
            raise InputError(f"size must be a width and a height in pixels, not {list(self.size)}")
        if self.stability and self.phase != "stability":
            raise InputError(f"stability {self.stability} is for phase stability; leave it out or change the phase")
        if self.without and not self.data:
            raise InputError("without leaves out pictures of a folder; name it with data")
