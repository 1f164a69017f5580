"""A network of the test's own goes through every door, without a line of the package that knows of it.

It is registered by `register`, or comes with another package that is installed.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import warnings
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import torch
from helpers.hdri import write_panoramas
from helpers.own_network import Glow
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from vshdr import Expander, models
from vshdr.cli.main import main
from vshdr.models import Card, Display, Model, registry
from vshdr.options.train import TrainOptions
from vshdr.training.loop import train
from vshdr.weights import Packaged, write

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    models.names()
    monkeypatch.setattr(registry, "_known", dict(registry._known))


@pytest.fixture
def glow(forgotten):
    models.register(Glow)


@pytest.fixture(scope="module")
def hdri(tmp_path_factory) -> Path:
    return write_panoramas(tmp_path_factory.mktemp("hdri"))


@pytest.fixture
def options(hdri, tmp_path):
    def make(**chosen) -> TrainOptions:
        small = {
            "model": "glow",
            "data": str(hdri),
            "output": str(tmp_path / "run"),
            "validation": 2,
            "validate_every": 4,
            "log_every": 1,
            "sheet": 1,
            "device": "cpu",
        }
        return TrainOptions(**(small | chosen))

    return make


def frames(height: int = 30, width: int = 45) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, height, width, generator=generator)


@pytest.mark.slow
def test_it_trains_resumes_and_expands(glow, options, tmp_path):
    whole = train(options(output=str(tmp_path / "whole")))
    assert whole.step == 8 and whole.best < whole.first  # as many steps as its card says
    train(options(steps=4))
    resumed = train(options(steps=8, resume=True))
    ends = [load_file(run.weights.with_name("final.safetensors")) for run in (whole, resumed)]
    assert all(torch.equal(tensor, ends[1][name]) for name, tensor in ends[0].items())

    expander = Expander("glow", weights=str(resumed.weights), device="cpu")
    linear = expander.expand(frames())
    network = models.build("glow", str(resumed.weights), Display())
    with torch.no_grad():
        expected = network(nn.functional.pad(frames(), (0, 3, 0, 2), mode="reflect"))[..., :30, :45]
    assert expander.card is Glow.card and torch.isfinite(linear).all()
    inside = expected < 2.0  # where the peak bends nothing
    assert torch.allclose(linear[inside], expected[inside], atol=1e-5)
    tiled = Expander("glow", weights=str(resumed.weights), device="cpu", tile=(16, 16)).expand(frames())
    assert torch.allclose(tiled, linear, atol=1e-5)


def test_its_second_phase_freezes_what_it_says(glow, options, tmp_path):
    first = train(options(steps=2))
    second = train(
        options(phase="stability", weights=str(first.weights), views="affine", output=str(tmp_path / "second"))
    )
    before, after = load_file(first.weights), load_file(second.weights.with_name("final.safetensors"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"lift.weight", "lift.bias"}


def test_its_weights_are_converted_and_averaged(glow, options, tmp_path):
    generator = torch.Generator().manual_seed(2)
    shapes = {"kernel": (4, 3, 3, 3), "offset": (4,), "mix": (3, 4, 1, 1)}
    states = []
    for number in range(2):
        states.append({name: torch.randn(shape, generator=generator) for name, shape in shapes.items()})
        torch.save(states[-1], tmp_path / f"{number}.pth")
        assert models.convert_weights(tmp_path / f"{number}.pth", tmp_path / f"{number}.safetensors") == "glow"
    assert torch.equal(load_file(tmp_path / "0.safetensors")["front.weight"], states[0]["kernel"])
    sources = [tmp_path / "0.safetensors", tmp_path / "1.pth"]
    assert models.average_weights(sources, tmp_path / "mean.safetensors") == "glow"
    mean = load_file(tmp_path / "mean.safetensors")["lift.weight"]
    torch.testing.assert_close(mean, (states[0]["mix"] + states[1]["mix"]) / 2)
    with safe_open(tmp_path / "mean.safetensors", "pt") as file:
        assert file.metadata()["model"] == "glow"


def test_a_file_says_which_of_two_alike_networks_it_is_of(glow, tmp_path):
    @models.register
    class Afterglow(Glow):
        card = dataclasses.replace(Glow.card, name="afterglow")

    source = tmp_path / "a.pth"
    torch.save(Afterglow(Display()).state_dict(), source)
    target = tmp_path / "a.safetensors"
    assert models.convert_weights(source, target) in ("glow", "afterglow")
    for name, network in (("glow", Glow), ("after", Afterglow)):
        state = network(Display()).state_dict()
        write(state, tmp_path / f"{name}.safetensors", network.card.name, {})
    assert models.convert_weights(tmp_path / "glow.safetensors", tmp_path / "1.safetensors") == "glow"
    assert models.convert_weights(tmp_path / "after.safetensors", tmp_path / "2.safetensors") == "afterglow"


def test_its_own_weights_are_listed_and_taken(forgotten, tmp_path, capsys):
    file = tmp_path / "package" / "glow.pth"
    file.parent.mkdir()
    torch.save(Glow(Display()).state_dict(), file)

    @models.register
    class Shipped(Glow):
        weights = Packaged(name="glow-1", file=file, licence="CC0-1.0", source="a test", summary="random numbers")
        card = dataclasses.replace(Glow.card, weights=(weights,))

    assert main(["models"]) == 0
    assert "glow\n    Lifts light near clipping; made for a test.\n    a test\n    weights: glow-1" in (
        capsys.readouterr().out
    )
    assert main(["weights", "list"]) == 0
    assert "glow-1 (here)\n    for glow, 0.0 MB, CC0-1.0; part of a package" in capsys.readouterr().out
    assert torch.equal(Expander("glow").expand(frames()), Expander("glow", weights="glow-1").expand(frames()))
    with pytest.raises(ValueError, match="weights 'glow-1' are for glow, not for expandnet"):
        Expander("expandnet", weights="glow-1")
    with pytest.raises(ValueError, match="the weights 'glow-1' are packaged; there is nothing to fetch"):
        models.catalogue().fetch("glow-1")
    file.unlink()
    with pytest.raises(OSError, match="'glow-1' of glow are not here; install their package again"):
        Expander("glow")


def test_what_does_not_fit_is_refused_in_a_sentence(glow, options, tmp_path):
    with pytest.raises(ValueError, match="glow has no weights of its own; train some with vshdr train"):
        Expander("glow")
    with pytest.raises(ValueError, match="'other' is not a file, and the model has no weights by name"):
        Expander("glow", weights="other")
    with pytest.raises(ValueError, match=r"size must be in multiples of 4 for glow, not \[30, 32\]"):
        train(options(size=(30, 32)))
    torch.save({"kernel": torch.zeros(4, 3, 3, 3), "offset": torch.zeros(4), "mix": torch.zeros(2)}, tmp_path / "a.pth")
    complaint = r"a\.pth does not fit glow: lift\.weight has shape \(2,\), not \(3, 4, 1, 1\)"
    with pytest.raises(ValueError, match=complaint):
        Expander("glow", weights=str(tmp_path / "a.pth"))
    with pytest.raises(ValueError, match=complaint):
        train(options(weights=str(tmp_path / "a.pth")))
    with pytest.raises(ValueError, match="unknown model 'glim'; choose from none, .*, expandnet, glow, hdrcnn$"):
        Expander("glim")


def test_what_is_no_model_is_not_registered(glow):
    class Nameless(Glow):
        card = None

    class Taken(Glow):
        card = Card(name="gainmap", summary="", source="")

    class Shadow(Glow):
        card = dataclasses.replace(Glow.card, name="shadow", weights=models.card("gainmap").weights)

    for wrong, complaint in (
        (Nameless, "Nameless has no card; give the class `card = "),
        (nn.Identity, "is not a model; derive its class from vshdr.models.Model"),
        (Taken, r"the model name 'gainmap' is taken by vshdr\.models\.gainmap\.GainMap; choose another"),
        (Shadow, "the weights name 'gainmap' of shadow is taken by gainmap; choose another"),
    ):
        with pytest.raises(ValueError, match=complaint):
            models.register(wrong)
    assert models.register(Glow) is Glow  # again, as a notebook does
    assert models.names().count("glow") == 1


def test_an_operator_needs_no_more_than_a_forward(forgotten):
    @models.register
    class Double(Model):
        card = Card(name="double", summary="Twice the light.", source="a test")

        def forward(self, sdr, summary=None):
            return 2.0 * sdr

    assert models.names()[0] == registry.BASELINE
    assert models.names().index("double") < models.names().index(models.DEFAULT) < models.names().index("expandnet")
    sdr = 0.4 * frames()
    assert torch.equal(Expander("double").expand(sdr), 2.0 * sdr)
    with pytest.raises(ValueError, match="double is an operator without weights; leave out weights 'x'"):
        Expander("double", weights="x")


def test_a_package_that_is_broken_takes_nothing_else_away(forgotten, monkeypatch):
    broken = EntryPoint("broken", "package_that_is_not_there:Network", registry.ENTRY_POINTS)
    whole = EntryPoint("whole", "helpers.own_network:Glow", registry.ENTRY_POINTS)
    monkeypatch.setattr(registry, "entry_points", lambda group: [broken, whole])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        registry._load_installed.__wrapped__()
    (warning,) = told
    assert "the model 'broken' (package_that_is_not_there:Network) is left out: " in str(warning.message)
    assert {"glow", "gainmap"} <= set(models.names())


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder for the Python path with the package of the network, as pip installs it."""
    folder = tmp_path_factory.mktemp("site-packages")
    source = Path(__file__).parents[1] / "helpers" / "own_network.py"
    (folder / "glow.py").write_text(source.read_text())
    info = folder / "glow-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: glow\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[vshdr.models]\nglow = glow:Glow\n")
    return folder


@pytest.mark.slow
def test_a_package_brings_it_to_the_command_line(installed, hdri, tmp_path):
    run, target = tmp_path / "run", tmp_path / "half.safetensors"
    commands = (
        ["models"],
        [
            "train",
            "--model",
            "glow",
            "--data",
            hdri,
            "--output",
            run,
            "--validation",
            1,
            "--sheet",
            0,
            "--device",
            "cpu",
        ],
        ["weights", "convert", run / "best.safetensors", target, "--half"],
    )
    lines = [[str(word) for word in command] for command in commands]
    # One process for all three: most of the time goes into starting it.
    program = f"from vshdr.cli.main import main; import sys; sys.exit(any([main(line) for line in {lines!r}]))"
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    assert "glow\n    Lifts light near clipping" in done.stdout
    assert "ended after 8 steps" in done.stderr and "weights of glow" in done.stderr
    assert load_file(target)["front.weight"].dtype == torch.float16
