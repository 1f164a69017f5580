"""Names of numbered files: what is written under a pattern is found under it, whatever else the name holds."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vshdr.errors import InputError
from vshdr.media.numbered_name import NumberedName

# What a file's name may hold, without what would be a counter of its own. Digits beside the counter are the hard case.
PARTS = st.text(st.sampled_from("0123456789") | st.characters(codec="utf-8", exclude_characters="#%/\0"), max_size=12)
NUMBERS = st.integers(0, 10**9)


@st.composite
def patterns(draw: st.DrawFn) -> tuple[str, str, int, str]:
    """A pattern, and what it says: the text before the counter, the least number of digits, and the text behind."""
    before, digits, after = draw(PARTS), draw(st.integers(1, 9)), draw(PARTS)
    counters = ["#" * digits, f"%0{digits}d", f"%{digits}d"] + ["%d"] * (digits == 1)
    return f"{before}{draw(st.sampled_from(counters))}{after}", before, digits, after


@given(pattern=patterns(), number=NUMBERS)
def test_a_pattern_says_where_its_numbers_go(pattern, number) -> None:
    text, before, digits, after = pattern
    name = NumberedName.parse(Path("folder", text))
    assert name is not None
    assert name.path(number) == Path("folder", f"{before}{str(number).zfill(digits)}{after}")


@given(pattern=patterns(), numbers=st.sets(NUMBERS, max_size=5), others=st.sets(PARTS, max_size=3))
def test_files_of_a_sequence_are_found_and_others_are_not(pattern, numbers, others) -> None:
    with tempfile.TemporaryDirectory() as folder:
        name = NumberedName.parse(Path(folder, pattern[0]))
        assert name is not None
        wanted = {number: name.path(number) for number in numbers}
        for path in wanted.values():
            path.touch()
        for other in others - {"", ".", ".."}:
            Path(folder, other).touch()
        found = name.files()
        assert found.items() >= wanted.items()
        assert all(name.path(number) == path and path.exists() for number, path in found.items())


@given(text=PARTS)
def test_a_name_without_a_counter_is_none_and_with_two_is_refused(text) -> None:
    assert NumberedName.parse(Path("folder", text or "a")) is None
    with pytest.raises(InputError, match="has one counter"):
        NumberedName.parse(Path("folder", f"##{text}_%04d"))
