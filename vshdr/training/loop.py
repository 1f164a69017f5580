"""The training loop: pictures from the virtual camera, a network, an objective, Adam. Begin at `train`.

A run is a folder. It holds `last.pt` to go on from, `best.safetensors` (lowest validation loss) and `final.safetensors`
to use, the log `log.jsonl`, a contact sheet for each validation (and with `keep` its weights), and `loss.png`.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from vshdr import models
from vshdr.camera.conditions import CONDITIONS, CameraOptions
from vshdr.camera.motion import MotionOptions
from vshdr.errors import InputError, NotFiniteError
from vshdr.models.contract import Display, Model
from vshdr.options.train import TrainOptions
from vshdr.training import checkpoint, sheets
from vshdr.training.data import open_data
from vshdr.training.learner import Learner, Objective
from vshdr.training.log import Log, Record, read_log
from vshdr.training.recipes import rate_at, recipe_of, resolve
from vshdr.training.team import Team
from vshdr.training.validation import Validation
from vshdr.weights import files

MOST_SKIPPED = 20
"""Steps in a row whose gradient may be infinite or NaN before the run is given up."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended. Only the leader of a team knows losses; for the other processes they are infinity."""

    step: int
    """Steps that were made, including those before a resumption."""
    first: float
    """Validation loss before the first step."""
    best: float
    """Lowest validation loss."""
    last: float
    """Validation loss at the end."""
    reason: str
    """Why it ended: steps, minutes or patience."""
    weights: Path
    """The weights with the lowest validation loss, safetensors."""


def train(
    options: TrainOptions, camera: CameraOptions | None = None, on_record: Callable[[Record], None] | None = None
) -> Summary:
    """Train a network, alone or as one of the processes that torchrun started.

    `camera` describes the virtual camera in more detail than `options.condition` and `options.motion`, which it
    replaces. `on_record` is called with each record of the log. Raise InputError for options that do not fit each
    other, the data or the run that is resumed, OSError for files that are missing, and NotFiniteError where training
    diverges.
    """
    team = Team.join(options.device)
    try:
        return _begin(options, camera, team, on_record or (lambda record: None)).go()
    finally:
        team.leave()


def _begin(
    options: TrainOptions, camera: CameraOptions | None, team: Team, on_record: Callable[[Record], None]
) -> _Run:
    """Return the run, new or as its checkpoint left it.

    The checkpoint is three times as large as the network, so nothing keeps it after this.
    """
    saved = checkpoint.load(Path(options.output, "last.pt")) if options.resume else None
    options = resolve(checkpoint.resumed(options, saved["options"]) if saved else options)
    return _Run(options, camera or _camera(options), team, saved, on_record)


def _camera(options: TrainOptions) -> CameraOptions:
    """Return the virtual camera that the options describe."""
    usual = CONDITIONS[options.condition]
    motion = {name: options.motion * value for name, value in dataclasses.asdict(usual.motion).items()}
    view = dataclasses.replace(usual.view, turned=recipe_of(options.model, options.phase).turned)
    return dataclasses.replace(usual, view=view, motion=MotionOptions(**motion))


class _Run:
    """The state of a run. Every process of a team has one; validation, log and files are the leader's alone."""

    def __init__(
        self,
        options: TrainOptions,
        camera: CameraOptions,
        team: Team,
        saved: dict[str, Any] | None,
        on_record: Callable[[Record], None],
    ) -> None:
        """Take resolved options. `saved` is the checkpoint to go on from; without it the run is new, and its folder is
        made.
        """
        self.options, self.team, self.on_record = options, team, on_record
        self.folder = Path(options.output)
        if saved is None:
            self._make_folder()
        else:
            self._check_team(saved)
        self.headroom = Display(peak=options.peak).headroom
        self._make_network(resumed=saved is not None)
        self._make_optimiser()
        self.objective = Objective(
            options.loss,
            options.stability,
            options.alpha,
            headroom=self.headroom,
            stretch=options.stretch,
            motion=options.motion,
            highlights_only=models.card(options.model).highlights_only,
        )
        self._open_data(camera, saved)
        self.window: list[dict[str, Tensor]] = []  # what was measured since the last line of the log
        self.step, self.skipped, self.without_better, self.validated_at = 0, 0, 0, -1
        self.first = self.best = self.last = math.inf
        self.started, self.seconds_before = time.monotonic(), 0.0
        if saved:
            self._restore(saved)
        # Wrapping sends the leader's weights to all, so it comes after they are restored.
        self.parallel = team.wrap(self.learner)
        self.log: Log | None = None
        if team.leads:
            self.log = Log(self.folder, resumed_at=self.step if saved else None, tensorboard=options.tensorboard)

    # Setting up.

    def _make_folder(self) -> None:
        if (self.folder / "last.pt").exists():
            raise InputError(
                f"{self.folder} holds a run already; go on with it with --resume, or name another --output"
            )
        self.folder.mkdir(parents=True, exist_ok=True)

    def _check_team(self, saved: dict[str, Any]) -> None:
        count = len(saved["members"])
        if count != self.team.size:
            raise InputError(
                f"{self.folder} was trained by {count} processes; go on with as many, not {self.team.size}"
            )

    def _make_network(self, resumed: bool) -> None:
        """Make the learner, and the moving average of its weights if there is to be one."""
        options = self.options
        network = models.untrained(options.model, Display(), seed=options.seed) if resumed else _new_network(options)
        self.learner = Learner(network).to(self.team.device).train()
        network.freeze_for(options.phase)
        self.average = AveragedModel(self.learner, avg_fn=_warm_average(options.ema)) if options.ema else None

    def _make_optimiser(self) -> None:
        groups = self.learner.model.parameter_groups()
        self.rate_factors = [group.rate_factor for group in groups]
        self.adam = torch.optim.Adam([{"params": group.parameters} for group in groups], lr=self.options.rate or 0.0)
        device = self.team.device
        precision = _training_dtype(self.options.precision, device)
        self.autocast = torch.autocast(device.type, precision, enabled=precision is not torch.float32)
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision is torch.float16)

    def _open_data(self, camera: CameraOptions, saved: dict[str, Any] | None) -> None:
        """Open the camera of this process, and the leader's validation set."""
        options, team = self.options, self.team
        data = open_data(options, camera, team.device)
        if saved and saved["data"] != data.description:
            raise InputError(f"{self.folder} was trained on {saved['data']}; it cannot go on with {data.description}")
        # Processes of a team start from the same weights and see different pictures.
        seed = options.seed + 1000 * team.rank
        self.transforms = torch.Generator(team.device).manual_seed(seed)
        self.data, self.camera = data.description, data.training(seed)
        # Whether the camera renders second views; else `Objective.complete` bends the first ones.
        self.views = self.objective.takes_views and options.views == "camera"
        self.validation: Validation | None = None
        if team.leads:
            self.validation = Validation(data.held_out, self.objective, options.validation, views=self.views)

    # Training.

    def go(self) -> Summary:
        """Train until steps, minutes or patience end, and leave a checkpoint in each case."""
        if self.step == 0:
            self._validate()
        reason = self._train_until_the_end()
        self._checkpoint()
        if self.log:
            self._export("final.safetensors")
            self.log.close()
            sheets.loss_plot(self.folder / "loss.png", read_log(self.folder / "log.jsonl"))
        return Summary(
            step=self.step,
            first=self.first,
            best=self.best,
            last=self.last,
            reason=reason,
            weights=self.folder / "best.safetensors",
        )

    def _train_until_the_end(self) -> str:
        """Train, and return why it ended."""
        options = self.options
        while self.step < options.steps:
            self.window.append(self._train_step())
            if self.step % options.log_every == 0:
                self._log_training()
            if self.step % options.validate_every == 0:
                self._checkpoint()
            if self.team.decide(0 < options.patience <= self.without_better):
                return "patience"
            if self.team.decide(0.0 < options.minutes * 60.0 <= time.monotonic() - self.started):
                return "minutes"
        return "steps"

    def _train_step(self) -> dict[str, Tensor]:
        """Make one step of Adam, and return what it measured, on the device."""
        rate = rate_at(self.step, self.options)
        for group, factor in zip(self.adam.param_groups, self.rate_factors, strict=True):
            group["lr"] = rate * factor
        pair = self.objective.complete(self.camera.pair(self.options.batch, stability=self.views), self.transforms)
        parts = self.objective(self.parallel, pair, self.autocast)
        self.adam.zero_grad()
        self.scaler.scale(parts["loss"]).backward()
        self.scaler.unscale_(self.adam)
        gradient = torch.nn.utils.clip_grad_norm_(self.learner.parameters(), self.options.clip or math.inf)
        if torch.isfinite(gradient):  # the same for all processes, because gradients are averaged
            self.scaler.step(self.adam)
            self.skipped = 0
            if self.average:
                self.average.update_parameters(self.learner)
        else:
            self.skipped += 1
            if self.skipped > MOST_SKIPPED:
                raise NotFiniteError(
                    f"training of {self.options.model} diverged at step {self.step}: {self.skipped} "
                    f"gradients in a row were not finite; lower rate or clip"
                )
        self.scaler.update()
        self.step += 1
        return {name: value.detach() for name, value in parts.items()} | {"gradient": gradient}

    # Measuring.

    def _log_training(self) -> None:
        means = {
            name: float(self.team.mean(torch.stack([parts[name] for parts in self.window]).mean()))
            for name in self.window[0]
        }
        self.window = []
        self._record({**means, "rate": self.adam.param_groups[0]["lr"], "seconds": round(self._seconds(), 3)})

    def _record(self, values: Record) -> None:
        if self.log:
            record = {"step": self.step, **values}
            self.log.write(record)
            self.on_record(record)

    def _seconds(self) -> float:
        """Return the seconds of training, including those before a resumption."""
        return self.seconds_before + time.monotonic() - self.started

    def _validate(self) -> None:
        """Measure the validation set, and keep the weights where they are the best so far."""
        self.validated_at = self.step
        if not self.validation:
            return
        learner = self._finished.eval()
        measured = self.validation.measure(learner, self.autocast)
        self.last = measured["loss"]
        if not math.isfinite(self.last):
            raise NotFiniteError(
                f"training of {self.options.model} diverged by step {self.step}: the validation loss is {self.last}; "
                "lower rate or clip"
            )
        self.validation.draw(
            self.folder / f"sheet_{self.step:07d}.png",
            learner,
            self.autocast,
            headroom=self.headroom,
            count=self.options.sheet,
            title=f"{self.options.model}, step {self.step}, validation loss {self.last:.4g}",
        )
        self.learner.train()
        if self.step == 0:
            self.first = self.last
        if self.last < self.best:
            self.best, self.without_better = self.last, 0
            self._export("best.safetensors")
        elif self.step % self.options.validate_every == 0:  # not where minutes end, as that may be right after another
            self.without_better += 1
        if self.options.keep:
            self._export(f"step_{self.step:07d}.safetensors")
        self._record({"validation": measured})

    @property
    def _finished(self) -> Learner:
        """The learner whose weights are of use: the moving average if there is one."""
        if self.average is None:
            return self.learner
        assert isinstance(self.average.module, Learner)
        return self.average.module

    # Files.

    def _export(self, name: str) -> None:
        """Write the weights, with metadata that say how they came to be."""
        made = checkpoint.provenance(self.options, self.data, self.step, self.last, self.team.size)
        files.write(self._finished.model.state_dict(), self.folder / name, self.options.model, made)

    def _checkpoint(self) -> None:
        """Validate, unless this step was, and save what the run needs to go on."""
        if self.validated_at != self.step:
            self._validate()
        members = self.team.gather(
            {
                "camera": self.camera.state_dict(),
                "transforms": self.transforms.get_state(),
                "random": torch.get_rng_state(),
                "window": self.window,
            }
        )
        if self.team.leads:
            checkpoint.save(
                self.folder / "last.pt",
                {
                    "options": dataclasses.asdict(self.options),
                    "data": self.data,
                    "network": self.learner.state_dict(),
                    "average": self.average.state_dict() if self.average else None,
                    "adam": self.adam.state_dict(),
                    "scaler": self.scaler.state_dict(),
                    "members": members,
                    "seconds": self._seconds(),
                    **{name: getattr(self, name) for name in _COUNTERS},
                },
            )

    def _restore(self, saved: dict[str, Any]) -> None:
        model = self.learner.model
        self.learner.load_state_dict(checkpoint.named_as_today(saved["network"], model, "model."))
        if self.average:
            self.average.load_state_dict(checkpoint.named_as_today(saved["average"], model, "module.model."))
        self.adam.load_state_dict(saved["adam"])
        self.scaler.load_state_dict(saved["scaler"])
        member = saved["members"][self.team.rank]
        self.camera.load_state_dict(member["camera"])
        self.transforms.set_state(member["transforms"])
        torch.set_rng_state(member["random"])
        self.window = [
            {name: value.to(self.team.device) for name, value in parts.items()} for parts in member["window"]
        ]
        self.seconds_before = saved["seconds"]
        for name in _COUNTERS:
            setattr(self, name, saved[name])


_COUNTERS = ("step", "skipped", "without_better", "validated_at", "first", "best", "last")


def _new_network(options: TrainOptions) -> Model:
    """Return the network that a new run begins with."""
    if options.phase == "stability" and not options.weights:
        raise InputError("phase stability goes on from trained weights; name them with weights")
    if not options.weights:
        return models.untrained(options.model, Display(), seed=options.seed, backbone=options.backbone)
    path = models.catalogue().locate(options.weights, options.model)
    return models.untrained(options.model, Display(), seed=options.seed).load(files.read(path), str(path))


def _training_dtype(name: str, device: torch.device) -> torch.dtype:
    """Return the number format of the network's arithmetic; "auto" takes the best of the device."""
    if name == "auto":
        if device.type == "cpu":
            name = "fp32"
        else:
            name = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[name]


def _warm_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return an exponential moving average that soon forgets the random start: after n steps the decay is at most
    (1 + n) / (10 + n).
    """

    def average(averaged: Tensor, current: Tensor, count: Tensor | int) -> Tensor:
        count = torch.as_tensor(count)
        weight = 1.0 - ((1.0 + count) / (10.0 + count)).clamp_max(decay)
        return averaged.lerp(current, weight.to(averaged.dtype))

    return average
