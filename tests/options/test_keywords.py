"""What editors are told of `Expander(...)` and `convert(...)` is what the options are."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import get_type_hints

import pytest

from vshdr import Expander, convert
from vshdr.options.convert import ConvertFileKeywords, ConvertKeywords, ConvertOptions
from vshdr.options.expand import ExpanderKeywords, ExpandKeywords, ExpandOptions


def fields(cls: type) -> dict[str, object]:
    hints = get_type_hints(cls)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def test_keywords_are_the_fields_of_the_options_type_by_type() -> None:
    expand, convert_only = fields(ExpandOptions), fields(ConvertOptions)
    assert get_type_hints(ExpandKeywords) == expand
    assert get_type_hints(ExpanderKeywords) == {name: hint for name, hint in expand.items() if name != "model"}
    assert get_type_hints(ConvertFileKeywords) == convert_only
    assert get_type_hints(ConvertKeywords) == expand | convert_only
    for keywords in (ExpandKeywords, ExpanderKeywords, ConvertFileKeywords, ConvertKeywords):
        assert not keywords.__required_keys__


def test_an_option_that_there_is_not_is_refused_by_its_name(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'gama'"):
        Expander("none", **{"gama": 1.2})
    with pytest.raises(TypeError, match="unexpected keyword argument 'gama'"):
        convert("in.mkv", tmp_path / "out.mkv", **{"gama": 1.2})
