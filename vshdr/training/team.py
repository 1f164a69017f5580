"""The processes of a training run: a single one, or as many as torchrun started."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vshdr.errors import DeviceError


@dataclass(frozen=True)
class Team:
    """This process among those that train together. Rank 0 leads: it validates, writes files and decides when to
    end.
    """

    rank: int
    size: int
    device: torch.device

    @classmethod
    def join(cls, device: str) -> Team:
        """Join the processes that torchrun started; without torchrun, be a team of one. `device` is auto, cpu or cuda.

        Raise DeviceError where there is no CUDA device and one was asked for.
        """
        cuda = torch.cuda.is_available()
        if device == "cuda" and not cuda:
            raise DeviceError("device 'cuda' was asked for, but torch sees no CUDA device; use device 'cpu' or 'auto'")
        if device == "cpu" or not cuda:
            place = torch.device("cpu")
        else:
            place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
            torch.cuda.set_device(place)
        if not dist.is_torchelastic_launched():
            return cls(0, 1, place)
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo")
        return cls(dist.get_rank(), dist.get_world_size(), place)

    def leave(self) -> None:
        """End the connection to the others."""
        if self.size > 1:
            dist.destroy_process_group()

    @property
    def leads(self) -> bool:
        """Whether this process leads."""
        return self.rank == 0

    def wrap(self, learner: nn.Module) -> nn.Module:
        """Return `learner`, wrapped so that gradients are averaged over the team."""
        if self.size == 1:
            return learner
        return DistributedDataParallel(learner, [self.device] if self.device.type == "cuda" else None)

    def decide(self, decision: bool) -> bool:
        """Return the leader's decision, to every process."""
        if self.size == 1:
            return decision
        shared = torch.tensor(decision, dtype=torch.uint8, device=self.device)
        dist.broadcast(shared, 0)
        return bool(shared)

    def mean(self, value: torch.Tensor) -> torch.Tensor:
        """Return the team's mean of a tensor."""
        if self.size > 1:
            dist.all_reduce(value)
        return value / self.size

    def gather(self, item: Any) -> list[Any]:
        """Return the items of all processes by rank, to every process."""
        if self.size == 1:
            return [item]
        items: list[Any] = [None] * self.size
        dist.all_gather_object(items, item)
        return items
