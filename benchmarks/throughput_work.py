"""Measurements of networks and of the Expander."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any

import torch
from throughput_machine import Clock
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from vshdr import Expander, kernels, models
from vshdr.colour.transfer import pq_encode
from vshdr.expand.backends import TorchBackend
from vshdr.models.contract import Display
from vshdr.models.expandnet import ExpandNet
from vshdr.models.gainmap import GainMap

_CODES = 876  # of ten-bit PQ in video range
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def picture(count: int, width: int, height: int) -> Tensor:
    """Return frames from black to well clipped, with noise: N x 3 x H x W."""
    generator = torch.Generator().manual_seed(1)
    ramp = torch.linspace(0.0, 1.3, width).expand(count, 3, height, width)
    return (ramp + 0.05 * torch.randn(ramp.shape, generator=generator)).clamp_(0.0, 1.0)


def reference(clock: Clock, width: int, height: int) -> float:
    """Return seconds per frame of ExpandNet, eager, float32, whole frames one at a time, from and to host memory."""
    network = ExpandNet(Display()).to(clock.device).eval()
    sdr = picture(1, width, height)

    @torch.no_grad()
    def run() -> Tensor:
        return network(sdr.to(clock.device)).cpu()

    with torch.backends.cudnn.flags(allow_tf32=True):  # PyTorch's own choice for convolutions, which nobody has changed
        return clock.best(run)


def networks(
    clock: Clock, model: str, size_name: str, size: tuple[int, int], precisions: list[str], batches: list[int]
) -> Iterator[dict[str, Any]]:
    """Yield rows of one model at one size: seconds per frame of the network and of the Expander, and what it takes."""
    width, height = size
    has_weights = models.card(model).network
    for precision in precisions if has_weights else ["fp32"]:
        for batch in batches:
            expander = expander_of(model, device=clock.device.type, precision=precision, batch=batch)
            frames = picture(batch, width, height)
            out = torch.empty_like(frames)
            network, inputs = _alone(expander, frames)
            yield {
                "model": model,
                "size": size_name,
                "precision": precision,
                "batch": batch,
                "pixels": width * height,
                "gmac": _gmac(network, inputs),
                "network_s": clock.best(lambda: network(inputs)) / batch,  # noqa: B023
                "expander_s": clock.best(lambda: expander.expand(frames, out)) / batch,  # noqa: B023
                "cpu_s": clock.processor(lambda: expander.expand(frames, out)) / batch,  # noqa: B023
                "peak_bytes": clock.peak_memory(
                    lambda: expander.expand(frames, out),  # noqa: B023
                    model=model,
                    pixels=size,
                    precision=precision,
                ),
            }


def shares(row: dict[str, Any], limits: dict[str, Any], reference_s: float | None) -> dict[str, Any]:
    """Return the row's bounds by arithmetic and by memory (code values in, light out, in float32), and its ratio to the
    reference.
    """
    arithmetic = row["gmac"] / limits["gmac_per_s"][row["precision"]]
    memory = row["pixels"] * 24 / 1e9 / limits["memory_gb_per_s"]
    found = {
        "bound_by": "arithmetic" if arithmetic > memory else "memory",
        "roofline_share": max(arithmetic, memory) / row["network_s"],
        "fps": 1.0 / row["expander_s"],
    }
    return found | ({"times_reference": reference_s / row["expander_s"]} if reference_s else {})


def parity(device: str, model: str, precisions: list[str]) -> Iterator[dict[str, Any]]:
    """Yield how far every fast way is from eager PyTorch in float32 on a CPU, in codes of ten-bit PQ."""
    frames = picture(1, 960, 544)
    with kernels.disabled():
        exact = _codes(expander_of(model, device="cpu", precision="fp32").expand(frames))
    for precision in precisions if models.card(model).network else ["fp32"]:
        quick = _codes(expander_of(model, device=device, precision=precision).expand(frames))
        difference = (quick - exact).abs().flatten().sort().values
        yield {
            "model": model,
            "device": device,
            "precision": precision,
            "max": difference[-1].item(),
            "p99.9": difference[int(len(difference) * 0.999)].item(),
        }


def stages(clock: Clock, size: tuple[int, int]) -> dict[str, float]:
    """Return where a frame of `gainmap` on a CPU spends its time: seconds by stage."""
    seconds: dict[str, float] = {}

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: object) -> Any:
            start = perf_counter()
            try:
                return function(*arguments)
            finally:
                seconds[name] = seconds.get(name, 0.0) + perf_counter() - start

        return call

    expander = Expander("gainmap", device="cpu")
    frames = picture(1, *size)
    out = torch.empty_like(frames)
    clock.best(lambda: expander.expand(frames, out))
    count = 10
    names = {"reduce": "halving", "shares_above": "distribution", "look_up": "curves", "brighten": "light"}
    names |= {"limit_and_roll_off": "roll-off"}
    kept = {name: getattr(kernels, name) for name in names}
    network = GainMap._coefficients
    try:
        for name, label in names.items():
            setattr(kernels, name, timed(label, kept[name]))
        GainMap._coefficients = timed("network", network)
        start = perf_counter()
        for _ in range(count):
            expander.expand(frames, out)
        total = perf_counter() - start
    finally:
        GainMap._coefficients = network
        for name, function in kept.items():
            setattr(kernels, name, function)
    seconds["clamping, padding and the rest"] = total - sum(seconds.values())
    return {name: value / count for name, value in seconds.items()}


def growth(clock: Clock, model: str, sizes: dict[str, tuple[int, int]]) -> dict[str, list[list[float]]]:
    """Return seconds by frames in one call, by pixels and by batch: pairs of the count and the seconds of all."""
    expander = expander_of(model, device=clock.device.type)
    frames = picture(8, 640, 360)
    pixels = []
    for width, height in sizes.values():
        one = picture(1, width, height)
        pixels.append([width * height, clock.best(lambda: expander.expand(one))])  # noqa: B023
    by_batch = []
    for batch in (1, 2, 4, 8):
        grouped = expander_of(model, device=clock.device.type, batch=batch)
        by_batch.append([batch, clock.best(lambda: grouped.expand(frames[:batch]))])  # noqa: B023
    by_frames = [[count, clock.best(lambda: expander.expand(frames[:count]))] for count in (1, 2, 4, 8)]  # noqa: B023
    return {"frames": by_frames, "pixels": pixels, "batch": by_batch}


def expander_of(model: str, **options: Any) -> Expander:
    """Return an Expander with the model's weights; with random ones for a model whose weights do not ship."""
    if model != "expandnet":
        return Expander(model, **options)
    build = models.build
    torch.manual_seed(1)
    models.build = lambda name, weights, display: ExpandNet(display).eval()
    try:
        return Expander(model, **options)
    finally:
        models.build = build


def _alone(expander: Expander, frames: Tensor) -> tuple[Callable[..., Any], Tensor]:
    """Return the network without what is around it, and frames as it takes them, on its device."""
    multiple = expander.card.multiple
    height, width = (-(-side // multiple) * multiple for side in frames.shape[2:])
    inputs = torch.nn.functional.pad(frames, (0, width - frames.shape[3], 0, height - frames.shape[2]))
    dtype = _DTYPES[expander.precision]
    backend = expander.backend
    assert isinstance(backend, TorchBackend)

    @torch.no_grad()
    def run(sdr: Tensor) -> Tensor:
        with torch.autocast(expander.device.type, dtype, enabled=dtype is not torch.float32):
            return backend.model(sdr)

    return run, inputs.to(expander.device)


def _gmac(network: Callable[..., Any], inputs: Tensor) -> float:
    """Return billions of multiply-adds per frame."""
    with FlopCounterMode(display=False) as counter:
        network(inputs[:1])
    return counter.get_total_flops() / 2e9


def _codes(linear: Tensor) -> Tensor:
    return pq_encode(203.0 * linear) * _CODES
