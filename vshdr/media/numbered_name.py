"""Names of numbered files: `shot.####.exr` and `shot.%04d.exr`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from vshdr.errors import InputError

_COUNTER = re.compile(r"%(?:0?(\d+))?d|(#+)")


@dataclass(frozen=True)
class NumberedName:
    """A file name with a counter in it."""

    folder: Path
    before: str
    """The name up to the counter."""
    digits: int
    """Least number of digits; shorter numbers get leading zeros."""
    after: str
    """The name after the counter."""

    @classmethod
    def parse(cls, pattern: Path) -> NumberedName | None:
        """Return the numbered name that `pattern` writes as %04d or ####, None where it has no counter.

        Raise InputError where it has several.
        """
        counters = list(_COUNTER.finditer(pattern.name))
        if not counters:
            return None
        if len(counters) > 1:
            raise InputError(f"{pattern.name}: the name of a sequence has one counter, such as %04d or ####")
        counter = counters[0]
        digits = len(counter[2]) if counter[2] else int(counter[1] or 1)
        return cls(pattern.parent, pattern.name[: counter.start()], digits, pattern.name[counter.end() :])

    def path(self, number: int) -> Path:
        """Return the file with this number."""
        return self.folder / f"{self.before}{number:0{self.digits}d}{self.after}"

    def files(self) -> dict[int, Path]:
        """Return the files that are there, by number."""
        matcher = re.compile(f"{re.escape(self.before)}(\\d+){re.escape(self.after)}")
        found = {}
        for path in self.folder.iterdir():
            match = matcher.fullmatch(path.name)
            if match and path == self.path(int(match[1])):
                found[int(match[1])] = path
        return found
