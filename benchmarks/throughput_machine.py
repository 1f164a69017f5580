"""The machine that a benchmark runs on: a clock for its device, and its limits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from record import processor

_GIB = 1 << 30


class Clock:
    """Measures the seconds that work takes on a device."""

    def __init__(self, device: str, seconds: float) -> None:
        self.device = torch.device(device)
        self._seconds = seconds

    def wait(self) -> None:
        """Wait until the device has done all that was queued."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def best(self, work: Callable[[], object]) -> float:
        """Return the least seconds of several runs after one that warms up."""
        times: list[float] = []
        work()
        self.wait()
        until = time.perf_counter() + self._seconds
        while len(times) < 3 or time.perf_counter() < until:
            start = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - start)
        return min(times)

    def processor(self, work: Callable[[], object]) -> float:
        """Return seconds of all cores together that `work` takes."""
        work()
        start, runs = time.process_time(), 5
        for _ in range(runs):
            work()
        return (time.process_time() - start) / runs

    def peak_memory(self, expand: Callable[[], object], *, model: str, pixels: tuple[int, int], precision: str) -> int:
        """Return bytes that `expand` takes at most. On a GPU beside what is taken already; on a CPU in a process of its
        own, whose memory no earlier measurement has enlarged.
        """
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)
            before = torch.cuda.memory_allocated(self.device)
            expand()
            self.wait()
            return torch.cuda.max_memory_allocated(self.device) - before
        if sys.platform != "linux":
            return 0
        code = f"""
import sys, torch
sys.path.insert(0, {str(Path(__file__).parent)!r})
from throughput_work import expander_of, picture
expander, frames = expander_of({model!r}, device="cpu", precision={precision!r}), picture(1, *{pixels!r})
status = lambda field: next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith(field))
before = status("VmRSS")
for _ in range(3):
    expander.expand(frames)
print(1024 * (status("VmHWM") - before))
"""
        return int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def facts(clock: Clock) -> dict[str, Any]:
    """Return what the machine is, and its limits: multiplications and bytes per second, of memory and of the bus."""
    cuda = clock.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(clock.device) if cuda else processor(),
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        "limits": {
            "gmac_per_s": {name: _multiplications(clock, dtype) for name, dtype in _dtypes(clock).items()},
            "memory_gb_per_s": _copies(clock),
            "bus_gb_per_s": {"up": _bus(clock, up=True), "down": _bus(clock, up=False)} if cuda else {},
        },
    }


def _dtypes(clock: Clock) -> dict[str, torch.dtype]:
    dtypes = {"fp32": torch.float32, "bf16": torch.bfloat16}
    return dtypes | {"fp16": torch.float16} if clock.device.type == "cuda" else dtypes


def _multiplications(clock: Clock, dtype: torch.dtype) -> float:
    """Return billions of multiply-adds per second in a large product of matrices."""
    side = 8192 if clock.device.type == "cuda" else 1536
    a, b = (torch.randn(side, side, device=clock.device).to(dtype) for _ in range(2))
    return side**3 / clock.best(lambda: a @ b) / 1e9


def _copies(clock: Clock) -> float:
    """Return billions of bytes per second read and written by a copy."""
    source = torch.zeros(_GIB // 4, dtype=torch.uint8, device=clock.device)
    target = torch.empty_like(source)
    return 2 * len(source) / clock.best(lambda: target.copy_(source)) / 1e9


def _bus(clock: Clock, up: bool) -> float:
    host = torch.zeros(_GIB // 4, dtype=torch.uint8, pin_memory=True)
    device = torch.empty_like(host, device=clock.device)
    work = (lambda: device.copy_(host, non_blocking=True)) if up else (lambda: host.copy_(device, non_blocking=True))
    return len(host) / clock.best(work) / 1e9
