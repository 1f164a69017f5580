"""Stages of a conversion: threads joined by bounded queues, so that decoding, the network and encoding overlap.

When a stage fails or the user interrupts, all stages stop, and `Pipeline.run` raises the first error. Each stage keeps
the time that it has worked, which shows which one limits the speed.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

_POLL = 0.1  # seconds between looks at the stop flag while a queue is full or empty


class Stopped(Exception):
    """Raised inside a stage when another one has failed or the user has interrupted."""


class _End:
    """The last item of a channel."""


class Channel[T]:
    """A bounded queue from one stage to the next. Whoever waits at it is released when the pipeline stops."""

    def __init__(self, depth: int, stop: threading.Event) -> None:
        self._items: queue.Queue[T | _End] = queue.Queue(depth)
        self._stop = stop

    def put(self, item: T) -> None:
        """Add an item, after waiting for room. Raise Stopped."""
        self._put(item)

    def end(self) -> None:
        """Tell the reader that nothing follows. Raise Stopped."""
        self._put(_End())

    def __iter__(self) -> Iterator[T]:
        """Yield items until the channel ends. Raise Stopped."""
        while not self._stop.is_set():
            try:
                item = self._items.get(timeout=_POLL)
            except queue.Empty:
                continue
            if isinstance(item, _End):
                return
            yield item
        raise Stopped

    def _put(self, item: T | _End) -> None:
        while not self._stop.is_set():
            try:
                return self._items.put(item, timeout=_POLL)
            except queue.Full:
                continue
        raise Stopped


class Worker(ABC):
    """A named thread of a pipeline and the time that it has worked."""

    def __init__(self, name: str) -> None:
        self.name: str = name
        self.busy: float = 0.0
        """Seconds of work, without the time spent waiting for other stages."""
        self.thread: threading.Thread = threading.Thread(target=self.work, name=f"vshdr {name}", daemon=True)

    @abstractmethod
    def work(self) -> None:
        """Do all the work; runs in `thread`."""

    def timed[A, B](self, function: Callable[[A], B], argument: A) -> B:
        """Return `function(argument)`, and count the time that it takes as work."""
        start = time.perf_counter()
        try:
            return function(argument)
        finally:
            self.busy += time.perf_counter() - start


class Stage[A, B](Worker):
    """A worker that takes items of type A from an iterable, and puts what it makes of each, a B, into its channels."""

    def __init__(
        self,
        name: str,
        pipeline: Pipeline,
        items: Iterable[A],
        function: Callable[[A], B],
        outputs: Sequence[Channel[B]],
        produces: bool,
    ) -> None:
        super().__init__(name)
        self._pipeline, self._items, self._function, self._outputs = pipeline, items, function, outputs
        self._produces = produces

    def work(self) -> None:
        try:
            for item in self._timed_items() if self._produces else self._items:
                result = self.timed(self._function, item)
                for output in self._outputs:
                    output.put(result)
            for output in self._outputs:
                output.end()
        except Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever happens here must reach the thread that waits
            self._pipeline.fail(error)
        finally:
            if isinstance(self._items, Generator):
                self._items.close()  # now and in this thread, because it may have a file open

    def _timed_items(self) -> Iterator[A]:
        iterator = iter(self._items)
        while True:
            try:
                item = self.timed(next, iterator)
            except StopIteration:
                return
            yield item


class Pipeline:
    """Builds stages, runs them and raises the first error of any."""

    def __init__(self, depth: int) -> None:
        """`depth` is how many items a channel takes before the stage that fills it has to wait."""
        self._depth = depth
        self._stop = threading.Event()
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        self._pools: list[ThreadPoolExecutor] = []
        self.stages: list[Worker] = []

    def channel[T](self, depth: int = 0) -> Channel[T]:
        """Return a new channel between two stages, `depth` items deep; 0 takes the pipeline's own depth."""
        return Channel(depth or self._depth, self._stop)

    def add[A, B](
        self,
        name: str,
        items: Iterable[A],
        function: Callable[[A], B],
        outputs: Sequence[Channel[B]],
        produces: bool = False,
    ) -> None:
        """Add a stage that calls `function` on each of `items` and puts the result into every one of `outputs`.

        With `produces`, the time that it takes to get an item counts as this stage's work, as in a decoder. Without,
        it counts as waiting for the stage before.
        """
        self.stages.append(Stage(name, self, items, function, outputs, produces))

    def add_parallel[A, B](
        self, name: str, items: Iterable[A], functions: Sequence[Callable[[A], B]], outputs: Sequence[Channel[B]]
    ) -> None:
        """As `add`, with several `functions` that take the items in turn and run at the same time. Results are put in
        the order of the items.
        """
        if len(functions) == 1:
            self.add(name, items, functions[0], outputs)
            return
        pools = [ThreadPoolExecutor(1, f"vshdr {name} {number}") for number in range(len(functions))]
        self._pools.extend(pools)
        turns = itertools.cycle(list(zip(pools, functions, strict=True)))

        def submit(item: A) -> Future[B]:
            pool, function = next(turns)
            return pool.submit(function, item)

        submitted: Channel[Future[B]] = self.channel(depth=len(functions))
        self.add(f"{name}: hand out", items, submit, [submitted])
        self.add(name, submitted, lambda future: future.result(), outputs)

    def fail(self, error: BaseException) -> None:
        """Keep `error` if it is the first, and stop all stages."""
        with self._lock:
            if self._error is None:
                self._error = error
        self._stop.set()

    def stopped(self) -> bool:
        """Return whether a stage has failed or the user has interrupted."""
        return self._stop.is_set()

    def run(self, while_waiting: Callable[[], None]) -> None:
        """Start the stages, call `while_waiting` a few times a second until all have ended, and raise the first error.

        An interruption (Ctrl-C) stops the stages, and is raised again once their threads have ended.
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
            for pool in self._pools:
                pool.shutdown(cancel_futures=True)
        if self._error is not None:
            raise self._error

    def limiting_stage(self) -> str:
        """Return the name of the stage that has worked longest."""
        return max(self.stages, key=lambda stage: stage.busy).name
