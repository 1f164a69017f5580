"""Random weights for ExpandNet and HDRCNN, in the form in which their authors published theirs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

EXPANDNET_SHAPES = {
    "local_net.0.0": (64, 3, 3, 3),
    "local_net.1.0": (128, 64, 3, 3),
    "mid_net.0.0": (64, 3, 3, 3),
    "mid_net.1.0": (64, 64, 3, 3),
    "mid_net.2.0": (64, 64, 3, 3),
    "mid_net.3": (64, 64, 3, 3),
    "glob_net.0.0": (64, 3, 3, 3),
    **{f"glob_net.{i}.0": (64, 64, 3, 3) for i in range(1, 6)},
    "glob_net.6": (64, 64, 4, 4),
    "end_net.0.0": (64, 256, 1, 1),
    "end_net.1": (3, 64, 1, 1),
}


def expandnet_state(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return weights under which every branch of ExpandNet changes every pixel."""
    random = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in EXPANDNET_SHAPES.items():
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = torch.randn(shape, generator=random) / fan_in**0.5
        state[f"{name}.bias"] = 0.1 * torch.randn(shape[0], generator=random)
    return state


# Shapes in the published order. Kernels are height, width, channels in, channels out; the 4 x 4 ones are transposed
# convolutions, with channels out before channels in.
HDRCNN_SHAPES = [
    *[
        shape
        for i, o in (
            (3, 64),
            (64, 64),
            (64, 128),
            (128, 128),
            (128, 256),
            (256, 256),
            (256, 256),
            (256, 512),
            (512, 512),
            (512, 512),
            (512, 512),
            (512, 512),
            (512, 512),
            (512, 512),
        )
        for shape in ((3, 3, i, o), (o,))
    ],
    *[(512,)] * 4,
    *[
        shape
        for o, i in ((512, 512), (512, 512), (256, 512), (128, 256), (64, 128))
        for shape in ((4, 4, o, i), *[(o,)] * 5, (1, 1, 2 * o, o), (o,))
    ],
    (1, 1, 64, 3),
    *[(3,)] * 5,
    (1, 1, 6, 3),
    (3,),
]


def hdrcnn_arrays(seed: int = 0) -> dict[str, torch.Tensor]:
    """Return arrays with which every layer of HDRCNN keeps the spread of its input, so that all change the output."""
    random = torch.Generator().manual_seed(seed)
    arrays = []
    for index, shape in enumerate(HDRCNN_SHAPES):
        if len(shape) == 4:
            transposed = shape[:2] == (4, 4)
            fan_in = 4 * shape[3] if transposed else shape[0] * shape[1] * shape[2]
            arrays.append(torch.randn(shape, generator=random) * (2.0 / fan_in) ** 0.5)
        elif index >= 28 and len(HDRCNN_SHAPES[index - 1]) == 1:
            # A batch normalisation's parameters; its variance must be positive.
            arrays.append(0.5 + torch.rand(shape, generator=random))
        else:
            arrays.append(0.1 * torch.randn(shape, generator=random))
    arrays[0] /= 30.0  # the network's input is 0 to 255
    return {str(index): array for index, array in enumerate(arrays)}


def write_object_npz(path: Path, arrays: list[np.ndarray]) -> Path:
    """The form of the HDRCNN files: one object array that NumPy pickles."""
    objects = np.empty(len(arrays), dtype=object)
    objects[:] = arrays
    np.savez(path, params=objects)
    return path
