"""Threads joined by queues: order, errors and the end."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vshdr.runtime.stages import Channel, Pipeline


def nothing() -> None:
    return None


def test_items_pass_through_all_stages_in_order() -> None:
    pipeline = Pipeline(depth=2)
    numbers: Channel[int] = pipeline.channel()
    squares: Channel[int] = pipeline.channel()
    seen: list[int] = []
    pipeline.add("count", range(20), lambda number: number, [numbers], produces=True)
    pipeline.add_parallel("square", numbers, [lambda n: n * n, lambda n: (time.sleep(0.001), n * n)[1]], [squares])
    pipeline.add("collect", squares, seen.append, [])
    pipeline.run(nothing)
    assert seen == [number * number for number in range(20)]
    assert pipeline.limiting_stage() in {stage.name for stage in pipeline.stages}


def test_every_output_of_a_stage_gets_all_items() -> None:
    pipeline = Pipeline(depth=1)
    channels: list[Channel[str]] = [pipeline.channel() for _ in range(3)]
    seen: list[list[str]] = [[] for _ in channels]
    pipeline.add("letters", "abc", str.upper, channels)
    for channel, collected in zip(channels, seen, strict=True):
        pipeline.add("collect", channel, collected.append, [])
    pipeline.run(nothing)
    assert seen == 3 * [["A", "B", "C"]]


def test_the_first_error_stops_all_stages_and_is_raised() -> None:
    pipeline = Pipeline(depth=1)
    endless: Channel[int] = pipeline.channel()
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.set()

    def refuse(number: int) -> None:
        raise OSError("no space left")

    pipeline.add("source", source(), lambda number: number, [endless], produces=True)
    pipeline.add("write", endless, refuse, [])
    with pytest.raises(OSError, match="no space left"):
        pipeline.run(nothing)
    assert pipeline.stopped() and closed.is_set()
    assert not any(stage.thread.is_alive() for stage in pipeline.stages)


def test_an_interruption_stops_the_stages_and_is_raised() -> None:
    pipeline = Pipeline(depth=1)
    endless: Channel[int] = pipeline.channel()
    pipeline.add("source", iter(lambda: 1, 0), lambda number: number, [endless], produces=True)
    pipeline.add("wait", endless, lambda number: time.sleep(0.01), [])

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pipeline.run(interrupt)
    assert not any(stage.thread.is_alive() for stage in pipeline.stages)


def test_time_in_a_source_counts_as_work_only_where_the_stage_produces() -> None:
    def slow() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    busy = {}
    for produces in (True, False):
        pipeline = Pipeline(depth=1)
        pipeline.add("read", slow(), lambda number: number, [], produces=produces)
        pipeline.run(nothing)
        busy[produces] = pipeline.stages[0].busy
    assert busy[True] > busy[False]
