"""Hypothesis strategies that damage bytes: what disks, networks and careless programs do to a file, and worse."""

from __future__ import annotations

from hypothesis import strategies as st

# Values that parsers of sizes and counts stumble over: nothing, everything, and the sign bits of 16, 32 and 64 bits.
_AWKWARD = [b"\0", b"\xff", b"\x80", b"\x01" + b"\xff" * 7, b"\xff" * 8, b"\x7f" + b"\xff" * 3, b"\0" * 16, b"\0\0\0\1"]


@st.composite
def damaged(draw: st.DrawFn, whole: bytes, start: int = 0, end: int | None = None) -> bytes:
    """Return `whole` with one to four faults between `start` and `end`: bytes overwritten, inserted, left out, or cut
    off.
    """
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        last = min(len(data), len(data) if end is None else end)
        at = draw(st.integers(min(start, last), last))
        piece = draw(st.sampled_from(_AWKWARD) | st.binary(min_size=1, max_size=8))
        match draw(st.sampled_from(("overwrite", "overwrite", "insert", "remove", "cut off"))):
            case "overwrite":
                data[at : at + len(piece)] = piece[: max(0, len(data) - at)]
            case "insert":
                data[at:at] = piece
            case "remove":
                del data[at : at + draw(st.integers(1, 64))]
            case "cut off":
                del data[at:]
    return bytes(data)
