"""What `convert` says of options that have not run on a GPU."""

from __future__ import annotations

import pytest

from vshdr.cli.main import main
from vshdr.options.declare import EXPERIMENTAL


def test_help_marks_what_has_not_run_on_a_gpu(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit):
        main(["convert", "--help"])
    options = " ".join(capsys.readouterr().out.split()).split(" --")[1:]
    marked = {text.split()[0] for text in options if EXPERIMENTAL in text}
    assert marked == {"device", "device-index", "precision", "fuse", "batch", "hardware-decode", "devices"}
