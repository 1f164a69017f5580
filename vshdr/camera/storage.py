"""How the virtual camera's pictures are stored: as RGB, YCbCr, JPEG-like or by a real video codec."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from vshdr.camera.codec import round_trip
from vshdr.camera.conditions import DrawnConditions
from vshdr.camera.degradations import dct_quantise, from_planes, quantise, to_planes


def stored(sdr: Tensor, conditions: DrawnConditions, codec_frames: int) -> Tensor:
    """Return code values, N x 3 x H x W, as they come back from each picture's own form of storage.

    A video codec is given each frame `codec_frames` times, and the last one is returned.
    """
    result = torch.empty_like(sdr)
    # Pictures of one form, with or without DCT quantisation, are done together.
    groups: dict[tuple[str, bool], list[int]] = {}
    for row, form in enumerate(conditions.form):
        if conditions.codec[row] is None:
            groups.setdefault((form, conditions.steps[row] is not None), []).append(row)
    for (form, _), rows in groups.items():
        bits = conditions.bits[rows]
        if form == "rgb":
            largest = (torch.exp2(bits) - 1)[:, None, None, None]
            result[rows] = (sdr[rows] * largest).round() / largest
            continue
        planes = to_planes(sdr[rows], subsample=form == "420")
        steps = [step for row in rows if (step := conditions.steps[row]) is not None]
        if steps:
            planes = dct_quantise(planes, steps)
        result[rows] = from_planes(quantise(planes, bits))
    settings = {row: setting for row, setting in enumerate(conditions.codec) if setting is not None}

    def coded(row: int) -> Tensor:
        return round_trip(sdr[row].expand(codec_frames, -1, -1, -1), *settings[row])[-1]

    if settings:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            result[list(settings)] = torch.stack(list(pool.map(coded, settings)))
    return result
