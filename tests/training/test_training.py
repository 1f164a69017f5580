"""The training loop: it learns, goes on as if it had never stopped, ends when told, and leaves weights that work."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers.hdri import write_panoramas
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from vshdr import models
from vshdr.camera.conditions import CONDITIONS
from vshdr.camera.hdr_files import find_hdr_files
from vshdr.camera.hdrcnn_samples import Sample, write_sample
from vshdr.camera.panoramas import Panoramas
from vshdr.camera.virtual_camera import VirtualCamera
from vshdr.colour.camera_response import camera_response
from vshdr.expand.expander import Expander
from vshdr.models import registry
from vshdr.models.cards import Card
from vshdr.models.contract import Display, Model
from vshdr.options.declare import add_arguments, from_arguments
from vshdr.options.train import TrainOptions
from vshdr.synthetic.panoramas import procedural_panorama
from vshdr.training import checkpoint
from vshdr.training.learner import Learner, Objective
from vshdr.training.loop import Summary, train
from vshdr.training.recipes import rate_at, recipe_of, resolve


class TinyGain(Model):
    """A network of 300 numbers with linear output, in place of one that takes long."""

    card = Card(name="gainmap", summary="", source="", recipes=models.card("gainmap").recipes)

    def __init__(self, display):
        super().__init__(display)
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 1))

    def forward(self, sdr, summary=None):
        return sdr.clamp_min(1e-3).pow(2.4) * torch.exp2(7.0 * torch.tanh(self.net(sdr)))


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(registry._known, "gainmap", TinyGain)


@pytest.fixture(scope="module")
def hdri(tmp_path_factory) -> Path:
    return write_panoramas(tmp_path_factory.mktemp("hdri"))


@pytest.fixture
def options(hdri, tmp_path):
    """Options of a small run; the same folder for data, a new one for output."""

    def make(**chosen) -> TrainOptions:
        small = dict(
            model="gainmap",
            data=str(hdri),
            output=str(tmp_path / "run"),
            batch=2,
            size=(32, 32),
            validation=3,
            validate_every=4,
            log_every=2,
            device="cpu",
            sheet=2,
            seed=5,
        )
        return TrainOptions(**(small | chosen))

    return make


def records(folder: str | Path) -> list[dict]:
    return [json.loads(line) for line in (Path(folder) / "log.jsonl").read_text().splitlines()]


def test_a_run_learns_and_leaves_what_it_promises(tiny, options, tmp_path):
    chosen = options(steps=40, rate=0.02, validate_every=20, batch=4, ema=0.9, keep=True)
    seen = []
    summary = train(chosen, on_record=seen.append)
    assert isinstance(summary, Summary) and summary.step == 40 and summary.reason == "steps"
    assert summary.best < 0.7 * summary.first
    run = tmp_path / "run"
    assert seen == records(run)
    assert [record["step"] for record in seen if "validation" in record] == [0, 20, 40]
    assert [record["step"] for record in seen if "loss" in record] == list(range(2, 41, 2))
    kept = {step: load_file(run / f"step_{step:07d}.safetensors") for step in (0, 20, 40)}
    final = load_file(run / "final.safetensors")
    assert all(torch.equal(kept[40][name], final[name]) for name in final)
    assert not torch.equal(kept[0]["net.0.weight"], kept[20]["net.0.weight"])
    for name in ("sheet_0000000.png", "sheet_0000020.png", "sheet_0000040.png", "loss.png"):
        with Image.open(run / name) as picture:
            assert len(set(picture.convert("L").tobytes())) > 5
    with safe_open(summary.weights, "pt") as file:
        told = file.metadata()
    assert told["model"] == "gainmap" and told["seed"] == "5" and told["steps"] in ("20", "40")
    assert "--rate 0.02" in told["command"] and "5 pictures" in told["data"]
    assert str(tmp_path) not in json.dumps(told)
    assert not list(run.glob("*.part"))


def test_the_same_seed_gives_the_same_losses_and_another_does_not(tiny, options, tmp_path):
    losses = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(options(steps=4, seed=seed, output=str(tmp_path / name)))
        losses.append([record["loss"] for record in records(tmp_path / name) if "loss" in record])
    assert losses[0] == losses[1] != losses[2]


@pytest.mark.parametrize(
    "chosen",
    [
        {"schedule": "constant", "ema": 0.99},
        {"schedule": "constant", "phase": "stability", "stability": "transform", "views": "affine"},
        {"model": "expandnet", "phase": "stability", "stability": "ssim_warped"},
    ],
    ids=["gainmap", "stability", "expandnet"],
)
def test_a_resumed_run_goes_on_bit_by_bit(tiny, options, tmp_path, chosen):
    if chosen.get("phase") == "stability":
        base = train(options(steps=1, model=chosen.get("model", "gainmap"), output=str(tmp_path / "base")))
        chosen = chosen | {"weights": str(base.weights)}
    whole = options(steps=8, output=str(tmp_path / "whole"), **chosen)
    train(whole)
    parts = dataclasses.replace(whole, steps=4, output=str(tmp_path / "parts"))
    train(parts)
    # What a killed run had logged beyond its checkpoint is not said twice.
    with (tmp_path / "parts" / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "loss": 1.0}\n{"step": 8, "lo')
    train(dataclasses.replace(parts, steps=8, resume=True))
    for name in ("final.safetensors", "best.safetensors"):
        expected, found = (load_file(tmp_path / run / name) for run in ("whole", "parts"))
        assert expected.keys() == found.keys()
        assert all(torch.equal(expected[key], found[key]) for key in expected)
    untimed = [
        [{key: value for key, value in record.items() if key != "seconds"} for record in records(tmp_path / run)]
        for run in ("whole", "parts")
    ]
    assert untimed[0] == untimed[1]


@pytest.mark.slow
def test_hdrcnn_trains_resumes_and_expands(options, tmp_path):
    chosen = options(model="hdrcnn", steps=1, validation=1, sheet=1)
    first = train(chosen)
    second = train(dataclasses.replace(chosen, steps=2, resume=True))
    assert first.first == second.first and second.step == 2
    weights = tmp_path / "run" / "final.safetensors"
    assert load_file(weights)["bottleneck_norm.running_mean"].abs().max() > 0.0
    (tmp_path / "run" / "last.pt").unlink()  # a third of a gigabyte
    linear = Expander("hdrcnn", weights=str(weights)).expand(torch.rand(1, 3, 32, 32).round())
    assert torch.isfinite(linear).all()


@pytest.mark.parametrize(("name", "side", "rate"), [("hdrcnn", 64, 3e-4), ("expandnet", 32, 1e-3)])
def test_a_network_fits_a_few_pictures(hdri, name, side, rate):
    """With the statistics of its batch and the loss of its publication."""
    pair = VirtualCamera(Panoramas(find_hdr_files(hdri)), CONDITIONS["ideal"], size=(side, side), seed=1).pair(2)
    learner = Learner(models.untrained(name, Display(), seed=0)).train()
    objective = Objective(name, headroom=5.0)
    adam = torch.optim.Adam(learner.parameters(), lr=rate)
    losses = []
    for _ in range(12):
        loss = objective(learner, pair, torch.autocast("cpu", enabled=False))["loss"]
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0], losses


def test_expandnet_learns_and_its_weights_expand(options):
    summary = train(options(model="expandnet", steps=12, rate=1e-3, batch=4, validate_every=6))
    assert summary.best < 0.8 * summary.first
    linear = Expander("expandnet", weights=str(summary.weights)).expand(torch.rand(1, 3, 32, 48))
    assert torch.isfinite(linear).all() and linear.max() > 0.0


def test_weights_start_a_run(tiny, options, tmp_path):
    first = train(options(steps=4, rate=0.02))
    phase = {"phase": "stability", "stability": "transform", "alpha": 0.99}
    second = train(options(steps=1, **phase, weights=str(first.weights), output=str(tmp_path / "second")))
    start = records(tmp_path / "second")[0]["validation"]
    assert start["reconstruction"] == pytest.approx(first.best, rel=1e-5)
    assert start["stability"] > 0.0 and math.isfinite(second.last)
    term = 0.01 * start["reconstruction"] + 0.99 * start["stability"]
    assert start["loss"] == pytest.approx(term, rel=1e-5)


def test_minutes_end_a_run_that_goes_on_later(tiny, options, tmp_path):
    summary = train(options(steps=100_000, minutes=1e-6, schedule="constant"))
    assert summary.reason == "minutes" and summary.step == 1
    again = train(options(steps=4, resume=True))
    assert again.step == 4 and again.first == summary.first
    # The loss of the step before the end is not lost to the mean that is logged after it.
    train(options(steps=4, schedule="constant", output=str(tmp_path / "whole")))
    ended, whole = (
        [record["loss"] for record in records(tmp_path / run) if "loss" in record] for run in ("run", "whole")
    )
    assert ended == whole and len(whole) == 2


def test_what_is_not_given_is_as_the_run_was_begun(tiny, options, hdri, tmp_path):
    train(options(steps=4, rate=0.02, loss="log", ema=0.5, output=str(tmp_path / "parts")))
    summary = train(TrainOptions(output=str(tmp_path / "parts"), resume=True, device="cpu", steps=8))
    whole = train(options(steps=8, rate=0.02, loss="log", ema=0.5, output=str(tmp_path / "whole")))
    assert summary.step == 8 and summary.first == whole.first
    # Not the same losses, for a cosine over eight steps starts otherwise than one over four, but the same options.
    ended, meant = (checkpoint.load(tmp_path / run / "last.pt")["options"] for run in ("parts", "whole"))
    assert ended | {"output": "", "resume": False} == meant | {"output": "", "resume": False}
    assert records(tmp_path / "parts")[-2].keys() == records(tmp_path / "whole")[-2].keys()
    (tmp_path / "fewer").mkdir()
    for name in ("ash", "birch", "cedar"):
        shutil.copy(hdri / f"{name}.exr", tmp_path / "fewer")
    with pytest.raises(
        ValueError, match="was trained on 5 pictures of hdri.*; it cannot go on with 2 pictures of fewer"
    ):
        train(TrainOptions(output=str(tmp_path / "parts"), resume=True, device="cpu", data=str(tmp_path / "fewer")))
    for changed in ({"rate": 0.5}, {"batch": 3}, {"seed": 6}, {"loss": "highlight"}, {"condition": "ideal"}):
        (name, value), *_ = changed.items()
        with pytest.raises(ValueError, match=f"it cannot go on with {name} {value}"):
            train(TrainOptions(output=str(tmp_path / "parts"), resume=True, device="cpu", **changed))


def test_the_second_phase_keeps_how_gainmap_judges_whole_frames(options, tmp_path):
    small = {"size": (64, 64), "rate": 1e-3, "backbone": "random"}
    first = train(options(steps=1, output=str(tmp_path / "first"), **small))
    second = train(options(steps=2, phase="stability", weights=str(first.weights), **small))
    before, after = load_file(first.weights), load_file(second.weights.with_name("final.safetensors"))
    changed = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"backbone", "enter", "deepest", "up", "leave"}


def test_a_run_of_an_earlier_version_goes_on(options, tmp_path):
    """It called the backbone encoder, among the options and in its tensors' names."""
    chosen = options(steps=1, size=(64, 64), validation=1, backbone="random", schedule="constant", ema=0.9)
    train(chosen)
    saved = checkpoint.load(tmp_path / "run" / "last.pt")
    shutil.copytree(tmp_path / "run", tmp_path / "older")
    saved["options"]["encoder"] = saved["options"].pop("backbone")
    for part in ("network", "average"):
        saved[part] = {name.replace("model.backbone", "model.encoder"): item for name, item in saved[part].items()}
    assert "module.model.encoder.stem.weight" in saved["average"]
    checkpoint.save(tmp_path / "older" / "last.pt", saved)
    for name in ("run", "older"):
        train(dataclasses.replace(chosen, steps=2, resume=True, output=str(tmp_path / name)))
    found, expected = (load_file(tmp_path / name / "final.safetensors") for name in ("older", "run"))
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in expected.items())


def test_a_second_phase_needs_weights(tiny, options):
    with pytest.raises(ValueError, match="phase stability goes on from trained weights"):
        train(options(steps=1, phase="stability"))


@pytest.fixture
def stored(tmp_path) -> Path:
    """Samples as HDRCNN's virtual camera leaves them, two of each of five pictures."""
    for source in range(1, 6):
        for crop in (1, 2):
            scene = 4.0 * procedural_panorama(source, 96)[:, :, 40 * crop - 40 : 40 * crop]
            sdr = camera_response(scene.clamp_max(1.0), 0.9, 0.6)
            write_sample(tmp_path / "stored", source, crop, Sample(sdr=sdr, scene=scene, n=0.9, sigma=0.6))
    return tmp_path / "stored"


def test_stored_samples_train(tiny, options, stored, tmp_path):
    summary = train(options(data=str(stored), steps=20, rate=0.02, batch=4, validate_every=10, ema=0.9))
    assert summary.best < 0.9 * summary.first
    with safe_open(summary.weights, "pt") as file:
        assert file.metadata()["data"] == "8 samples of stored, 2 more held out for validation"
    phase = {"phase": "stability", "stability": "transform", "weights": str(summary.weights), "data": str(stored)}
    with pytest.raises(ValueError, match="leave out condition"):
        train(options(data=str(stored), condition="ideal", output=str(tmp_path / "other")))
    with pytest.raises(ValueError, match="one view each; add --views affine"):
        train(options(**phase, steps=1, output=str(tmp_path / "second")))
    train(options(**phase, steps=1, views="affine", output=str(tmp_path / "third")))


def test_what_cleaning_flags_is_left_out(tiny, options, hdri, stored, tmp_path):
    report = tmp_path / "outliers.csv"
    report.write_text("rank,file,flagged\n1,fir.exr,1\n2,ash.exr,0\n")
    summary = train(options(steps=1, without=str(report)))
    with safe_open(summary.weights, "pt") as file:
        told = file.metadata()
    assert told["data"].startswith("4 pictures") and "--without outliers.csv" in told["command"]
    with pytest.raises(ValueError, match="made of another folder"):
        train(options(data=str(stored), without=str(report), output=str(tmp_path / "second")))
    report.write_text("neither,nor\n1,2\n")
    with pytest.raises(ValueError, match=r"no outliers\.csv"):
        train(options(without=str(report), output=str(tmp_path / "third")))
    with pytest.raises(ValueError, match="name it with data"):
        TrainOptions(without=str(report))


def test_patience_ends_a_run_that_does_not_get_better(tiny, options):
    summary = train(options(steps=100, rate=0.0, validate_every=2, patience=2))
    assert summary.reason == "patience" and summary.step == 4


def test_training_that_diverges_is_given_up(tiny, options, monkeypatch):
    monkeypatch.setattr(TinyGain, "forward", lambda self, sdr, summary=None: self.net(sdr) * math.nan)
    with pytest.raises(RuntimeError, match="training of gainmap diverged"):
        train(options(steps=100))


def test_bfloat16_trains_on_a_cpu_when_asked(tiny, options):
    summary = train(options(steps=30, rate=0.02, precision="bf16", batch=4))
    assert summary.best < 0.8 * summary.first


def test_what_does_not_fit_is_refused(tiny, options, tmp_path):
    with pytest.raises(OSError, match="there is no run to resume"):
        train(options(resume=True))
    train(options(steps=1))
    with pytest.raises(ValueError, match="holds a run already"):
        train(options(steps=1))
    with pytest.raises(ValueError, match="is a run with model gainmap; it cannot go on with model expandnet"):
        train(options(model="expandnet", resume=True))
    with pytest.raises(ValueError, match="cannot go on with ema 0"):
        train(options(ema=0.0, resume=True))
    (tmp_path / "run" / "last.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(ValueError, match=r"last\.pt is damaged"):
        train(options(resume=True))
    for wrong in ({"size": (32, 0)}, {"stability": "l2"}, {"alpha": 2.0}, {"backbone": "vgg"}):
        with pytest.raises(ValueError):
            TrainOptions(**wrong)
    with pytest.raises(ValueError, match="unknown model 'vgg'; choose from gainmap, expandnet, hdrcnn$"):
        train(options(model="vgg", output=str(tmp_path / "other")))
    with pytest.raises(ValueError, match="none is an operator without weights; it cannot be trained"):
        train(options(model="none", output=str(tmp_path / "other")))
    with pytest.raises(ValueError, match="operator without weights"):
        models.untrained("none", Display(), seed=0)


@pytest.mark.slow
def test_two_processes_train_as_one(hdri, tmp_path):
    """Their gradients are averaged: both end with the same weights, which depend on the pictures of both."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    (tmp_path / "go.py").write_text(f"""
import os, torch
torch.set_num_threads(1)
from vshdr.training import loop
from vshdr.options.train import TrainOptions
options = dict(model="expandnet", data={str(hdri)!r}, output={str(tmp_path / "run")!r}, batch=1, size=(32, 32),
               validation=1, validate_every=1, log_every=1, device="cpu", sheet=0)
made = []
go = loop._Run.go
loop._Run.go = lambda run: (made.append(run), go(run))[1]
loop.train(TrainOptions(**options, steps=2))
torch.save(made[0].learner.state_dict(), {str(tmp_path)!r} + f"/rank{{os.environ['RANK']}}.pt")
""")
    done = subprocess.run([*command, str(tmp_path / "go.py")], capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt") for rank in (0, 1))
    assert all(torch.equal(first[name], second[name]) for name in first)
    saved = checkpoint.load(tmp_path / "run" / "last.pt")
    assert saved["step"] == 2 and len(saved["members"]) == 2
    # The second process drew its own pictures.
    assert repr(saved["members"][0]["camera"]) != repr(saved["members"][1]["camera"])
    alone = TrainOptions(model="expandnet", data=str(hdri), output=str(tmp_path / "run"), resume=True, device="cpu")
    with pytest.raises(ValueError, match="was trained by 2 processes"):
        train(alone)


def test_the_same_seed_gives_the_same_network():
    model, again, other = (models.untrained("hdrcnn", Display(), seed=seed).state_dict() for seed in (3, 3, 4))
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.items())
    assert not torch.equal(model["to_rgb.weight"], other["to_rgb.weight"])


def test_a_seeded_start_leaves_the_global_generator_alone():
    torch.manual_seed(1)
    models.untrained("hdrcnn", Display(), seed=0)
    after = torch.rand(3)
    torch.manual_seed(1)
    assert torch.equal(torch.rand(3), after)


def test_recipes_are_the_published_ones():
    hdrcnn = resolve(TrainOptions(model="hdrcnn"))
    assert (hdrcnn.loss, hdrcnn.rate, hdrcnn.size) == ("hdrcnn", 5e-5, (320, 320))
    epoch = recipe_of("hdrcnn", "reconstruction").epoch
    assert [rate_at(step, hdrcnn) for step in (0, epoch - 1, 2 * epoch)] == pytest.approx([5e-5, 5e-5, 5e-5 * 0.99**2])
    expandnet = resolve(TrainOptions(model="expandnet"))
    assert (expandnet.loss, expandnet.rate, expandnet.batch, expandnet.size) == ("expandnet", 7e-5, 12, (256, 256))
    assert rate_at(0, expandnet) == rate_at(expandnet.steps - 1, expandnet) == 7e-5
    gainmap = resolve(TrainOptions(model="gainmap", steps=1000))
    rates = [rate_at(step, gainmap) for step in range(1000)]
    assert max(rates) == pytest.approx(gainmap.rate) and rates.index(max(rates)) == 49
    assert rates[0] < 0.05 * gainmap.rate and rates[-1] == pytest.approx(0.01 * gainmap.rate, rel=0.01)
    assert resolve(TrainOptions(model="hdrcnn", phase="stability")).stability == "transform"
    assert resolve(TrainOptions(model="hdrcnn", rate=1.0, ema=0.5, batch=3)).rate == 1.0


def test_crops_are_multiples_of_what_a_model_needs():
    assert resolve(TrainOptions(model="hdrcnn", size=(96, 32))).size == (96, 32)
    with pytest.raises(ValueError, match=r"size must be in multiples of 64 for gainmap, not \[96, 64\]"):
        resolve(TrainOptions(model="gainmap", size=(96, 64)))
    with pytest.raises(ValueError, match="size must be a width and a height in pixels"):
        TrainOptions(size=(64, 0))


def test_a_network_without_a_recipe_for_a_phase_is_refused(monkeypatch):
    class Untaught(TinyGain):
        card = dataclasses.replace(TinyGain.card, recipes={"reconstruction": recipe_of("gainmap", "reconstruction")})

    monkeypatch.setitem(registry._known, "gainmap", Untaught)
    resolve(TrainOptions(model="gainmap"))
    with pytest.raises(ValueError, match="gainmap has no recipe for the phase stability; its card has: reconstruction"):
        resolve(TrainOptions(model="gainmap", phase="stability"))


def test_the_default_model_is_the_packages():
    assert TrainOptions().model == models.DEFAULT


def test_command_makes_the_same_run_again():
    options = resolve(TrainOptions(model="expandnet", data="/somewhere/hdri", size=(64, 32), steps=7, stretch=True))
    line = checkpoint.command(options)
    assert line.startswith("vshdr train --model expandnet --data hdri --loss expandnet")
    assert "--size 64 32" in line and "--steps 7" in line and "--stretch" in line.split()
    assert checkpoint.command(options, processes=4).startswith("torchrun --nproc-per-node=4 -m vshdr train")


def test_options_come_from_a_command_line():
    parser = argparse.ArgumentParser()
    add_arguments(parser, TrainOptions)
    assert "--validate-every" in parser.format_help()
    words = checkpoint.command(resolve(TrainOptions(model="hdrcnn", phase="stability", size=(64, 32), alpha=0.5)))
    options = from_arguments(TrainOptions, parser.parse_args(words.split()[2:]))
    assert options == resolve(options)
    assert (options.model, options.stability, options.size, options.alpha) == ("hdrcnn", "transform", (64, 32), 0.5)
    assert from_arguments(TrainOptions, parser.parse_args([])) == TrainOptions()


def test_tensorboard_is_optional(tiny, options, tmp_path):
    try:
        import tensorboard  # noqa: F401  # pyright: ignore[reportMissingImports]
    except ImportError:
        with pytest.raises(ValueError, match="pip install tensorboard"):
            train(options(steps=1, tensorboard=True))
    else:
        train(options(steps=2, tensorboard=True))
        assert list((tmp_path / "run" / "tensorboard").iterdir())
