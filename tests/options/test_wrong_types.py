"""Options of a wrong type get a sentence, as those out of their range do."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vshdr import ConvertOptions, ExpandOptions
from vshdr.errors import InputError


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"peak": "a"}, "peak must be a number, not 'a'"),
        ({"smooth": 1.5}, "smooth must be a whole number, not 1.5"),
        ({"tile": 64}, "tile must be 2 numbers, not 64"),
    ],
)
def test_a_wrong_type_is_told(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{sentence}$"):
        ExpandOptions(**options)


def test_numbers_of_any_kind_are_taken() -> None:
    assert ExpandOptions(peak=np.float32(600), smooth=int(np.int64(2)), gamma=1).peak == 600
    assert ConvertOptions(crf=18).crf == 18
