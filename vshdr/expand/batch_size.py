"""How many frames go through the network in one call, and in which tiles: chosen before the first frame, then kept.

On a GPU, kernels are chosen by the shape of their input, and another kernel may round differently. So a batch that
changed in the middle of a clip would change pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from vshdr.expand.backends import Backend
from vshdr.expand.tiles import tile_size
from vshdr.options.expand import ExpandOptions
from vshdr.runtime.memory import out_of_memory

_SMALLEST_TILE = 128  # pixels: a smaller tile is mostly overlap
_SHARE_OF_FREE_MEMORY = 0.5  # for one batch; the rest is for frames that wait before and after the network
_LARGEST_BATCH_BYTES = 3 << 29  # larger batches gain nothing, and other programs want memory as well


@dataclass(frozen=True, kw_only=True)
class BatchPlan:
    """The shape of the network's work."""

    batch: int
    """Frames per call; on a CPU, where frames go through one by one, only how many are handed over together."""
    tile: tuple[int, int]
    """Width and height of tiles in pixels; 0 takes the backend's own choice."""

    @classmethod
    def of(cls, options: ExpandOptions, backend: Backend) -> BatchPlan:
        """Return the plan for a device with memory enough."""
        return cls(batch=options.batch or backend.default_batch, tile=options.tile)


def plan_batch(
    options: ExpandOptions, backend: Backend, width: int, height: int, expand_one: Callable[[BatchPlan], object]
) -> BatchPlan:
    """Return the plan that fits into the device's memory for frames of that size.

    `expand_one` expands one frame with a plan. Tiles are halved until it succeeds; then the batch follows from the
    memory that it took, unless the options set it. Raise what `out_of_memory` recognises where even small tiles do not
    fit.
    """
    wanted = BatchPlan.of(options, backend)
    if backend.one_by_one:
        return wanted
    trial = replace(wanted, batch=1)
    while True:
        try:
            use = backend.memory_for(lambda plan=trial: expand_one(plan))
            break
        except RuntimeError as error:
            smaller = _with_half_the_tile(trial, backend, width, height)
            if not out_of_memory(error) or smaller is None:
                raise
            trial = smaller
    if options.batch or use is None:
        return replace(wanted, tile=trial.tile)
    fitting = min(int(_SHARE_OF_FREE_MEMORY * use.free / use.needed), _LARGEST_BATCH_BYTES // use.needed)
    return replace(trial, batch=max(1, min(wanted.batch, fitting)))


def _with_half_the_tile(plan: BatchPlan, backend: Backend, width: int, height: int) -> BatchPlan | None:
    """Return the plan with tiles of half the sides; None if they are too small to be halved."""
    tile_width, tile_height = tile_size(
        plan.tile, width, height, default=backend.default_tile, multiple=backend.card.multiple
    )
    if min(tile_width, tile_height) <= _SMALLEST_TILE:
        return None
    return replace(plan, tile=(tile_width // 2, tile_height // 2))
