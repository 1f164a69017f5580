"""Stages of a conversion: threads joined by bounded queues, so that decoding, the network and encoding overlap.

A stage that fails or is interrupted stops all of them, and the first error is raised where the pipeline is waited for.
Each stage's busy time is kept, which tells the one that limits the speed.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

_POLL = 0.1  # seconds between looks at the stop flag while a queue is full or empty


class Stopped(Exception):
    """Raised inside a stage when another one has failed or the user has interrupted."""


class _End:
    """The last item of a channel."""


class Channel:
    """A bounded queue from one stage to the next, that lets go when the pipeline stops."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._items: queue.Queue[Any] = queue.Queue(depth)
        self._stop = stop

    def put(self, item: Any) -> None:
        """Wait for room. Raise Stopped."""
        while not self._stop.is_set():
            try:
                return self._items.put(item, timeout=_POLL)
            except queue.Full:
                continue
        raise Stopped

    def end(self) -> None:
        """Tell the reader that nothing follows."""
        self.put(_End)

    def __iter__(self) -> Iterator[Any]:
        """Yield items until the channel ends. Raise Stopped."""
        while not self._stop.is_set():
            try:
                item = self._items.get(timeout=_POLL)
            except queue.Empty:
                continue
            if item is _End:
                return
            yield item
        raise Stopped


class Stage:
    """A named thread that takes items from an iterable, works on each and passes results to its channels."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        items: Iterable[Any],
        work: Callable[[Any], Any],
        outputs: list[Channel],
        produces: bool,
    ) -> None:
        self.name = name
        self.busy = 0.0
        """Seconds of work; waiting for other stages is left out."""
        self._pipeline, self._items, self._work, self._outputs = pipeline, items, work, outputs
        self._produces = produces
        self.thread = threading.Thread(target=self._run, name=f"vshdr {name}", daemon=True)

    def _run(self) -> None:
        try:
            for item in self._timed_items() if self._produces else self._items:
                result = self._measure(self._work, item)
                for output in self._outputs:
                    output.put(result)
            for output in self._outputs:
                output.end()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever happened here has to reach the thread that waits
            self._pipeline.fail(error)
        finally:
            if isinstance(self._items, Generator):
                self._items.close()  # in this thread, and now: it may hold a file

    def _timed_items(self) -> Iterator[Any]:
        iterator = iter(self._items)
        while True:
            try:
                item = self._measure(next, iterator)
            except StopIteration:
                return
            yield item

    def _measure(self, function: Callable[[Any], Any], argument: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(argument)
        finally:
            self.busy += time.perf_counter() - start


class Pipeline:
    """Builds stages, runs them and raises the first error of any."""

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._workers: list[ThreadPoolExecutor] = []
        self.stages: list[Stage] = []

    def channel(self, depth: int = 0) -> Channel:
        """Return a new channel between two stages, `depth` items deep; 0 for the pipeline's own depth."""
        return Channel(depth or self._depth, self._stop)

    def add(
        self,
        name: str,
        items: Iterable[Any],
        work: Callable[[Any], Any],
        outputs: list[Channel],
        produces: bool = False,
    ) -> None:
        """A stage that calls `work` on every one of `items` and puts what it returns into every one of `outputs`.

        With `produces` the getting of items is the stage's own work, and not a wait for the stage before it.
        """
        self.stages.append(Stage(name, self, items, work, outputs, produces))

    def add_side_by_side(
        self, name: str, items: Iterable[Any], works: Sequence[Callable[[Any], Any]], outputs: list[Channel]
    ) -> None:
        """As `add`, with several `works` that take the items in turn, all at once; results come in the items' order."""
        if len(works) == 1:
            self.add(name, items, works[0], outputs)
            return
        workers = [ThreadPoolExecutor(1, f"vshdr {name} {number}") for number in range(len(works))]
        self._workers.extend(workers)
        turns = itertools.cycle(list(zip(workers, works, strict=True)))

        def hand_out(item: Any) -> Future:
            worker, work = next(turns)
            return worker.submit(work, item)

        handed_out = self.channel(depth=len(works))
        self.add(f"{name}: hand out", items, hand_out, [handed_out])
        self.add(name, handed_out, lambda future: future.result(), outputs)

    def fail(self, error: BaseException) -> None:
        """Keep the first error and stops all stages."""
        with self._lock:
            if self._error is None:
                self._error = error
        self._stop.set()

    def stopped(self) -> bool:
        """Return whether a stage has failed or the user has interrupted."""
        return self._stop.is_set()

    def run(self, while_waiting: Callable[[], None]) -> None:
        """Start the stages, calls `while_waiting` a few times a second until all have ended, raises the first error.

        An interruption (Ctrl-C) stops the stages and is raised on once they have let go of their work.
        """
        for stage in self.stages:
            stage.thread.start()
        try:
            for stage in self.stages:
                while stage.thread.is_alive():
                    stage.thread.join(_POLL)
                    while_waiting()
        except BaseException as error:
            self.fail(error)
            raise
        finally:
            for stage in self.stages:
                stage.thread.join()
            for worker in self._workers:
                worker.shutdown(cancel_futures=True)
        if self._error is not None:
            raise self._error

    def limiting_stage(self) -> str:
        """Return the name of the stage that has been busy longest."""
        return max(self.stages, key=lambda stage: stage.busy).name
