"""The log of a run: a line of JSON every few steps, and the same for TensorBoard if wanted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vshdr.errors import MissingPackageError

Record = dict[str, Any]
"""A line of the log: names and numbers; those of a validation are a dictionary of their own."""


class Log:
    """A writer of `log.jsonl`. Each record has a "step", and those of validations have "validation"."""

    def __init__(self, folder: Path, *, resumed_at: int | None = None, tensorboard: bool = False) -> None:
        """Begin a new log, or with `resumed_at` go on with the one in `folder`, without what came after that step.

        Raise MissingPackageError where TensorBoard is wanted and not installed.
        """
        self._board = _open_board(folder, resumed_at) if tensorboard else None
        path = folder / "log.jsonl"
        kept = (
            []
            if resumed_at is None or not path.exists()
            else [record for record in read_log(path) if record["step"] <= resumed_at]
        )
        self._file = path.open("w", encoding="utf-8")
        for record in kept:
            self._line(record)

    def write(self, record: Record) -> None:
        """Append a record."""
        self._line(record)
        if self._board:
            step = record["step"]
            for name, value in _flat(record):
                if name != "step":
                    self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """Close the files."""
        self._file.close()
        if self._board:
            self._board.close()

    def _line(self, record: Record) -> None:
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def read_log(path: Path) -> list[Record]:
    """Return the records of a log, without a last line that a crash cut off."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            records.append(json.loads(line))
    return records


def _flat(record: Record, prefix: str = "") -> list[tuple[str, float]]:
    """Return the names and numbers of a record, nested ones as "outer/inner"."""
    found = []
    for name, value in record.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}/")
        else:
            found.append((prefix + name, float(value)))
    return found


def _open_board(folder: Path, resumed_at: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingPackageError(
            "--tensorboard needs the package tensorboard; run: pip install tensorboard"
        ) from error
    return SummaryWriter(folder / "tensorboard", purge_step=None if resumed_at is None else resumed_at + 1)
