"""Models with their weights: converting, averaging, finding and listing files."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import torch
from helpers.published_weights import expandnet_state, hdrcnn_arrays, write_object_npz
from safetensors import safe_open
from safetensors.torch import save_file

from vshdr import models, weights
from vshdr.models.contract import Display
from vshdr.models.hdrcnn import HDRCNN
from vshdr.weights import Download, Packaged
from vshdr.weights.files import sha256


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    same_names = found.keys() == expected.keys()
    return same_names and all(torch.equal(found[name], expected[name]) for name in expected)


def test_converts_a_published_file_of_each_network(tmp_path):
    state, arrays = expandnet_state(), hdrcnn_arrays()
    torch.save(state, tmp_path / "e.pth")
    write_object_npz(tmp_path / "h.npz", [array.numpy() for array in arrays.values()])
    for source, model in (("e.pth", "expandnet"), ("h.npz", "hdrcnn")):
        target = tmp_path / f"{model}.safetensors"
        assert models.convert_weights(tmp_path / source, target) == model
        with safe_open(target, "pt") as file:
            assert file.metadata() == {"model": model, "source": source, "sha256": sha256(tmp_path / source)}
        with pytest.raises(FileExistsError, match="is there already"):
            models.convert_weights(tmp_path / source, target)
    assert equal(weights.read(tmp_path / "expandnet.safetensors"), state)
    network = models.build("hdrcnn", str(tmp_path / "hdrcnn.safetensors"), Display())
    assert isinstance(network, HDRCNN)
    pairs = zip(network.to_published(), arrays.values(), strict=True)
    assert all(torch.equal(found, array) for found, array in pairs)
    assert not list(tmp_path.glob("*.part"))


def test_converts_to_half_precision_and_keeps_what_is_said_of_the_making(tmp_path):
    state = models.build("gainmap", "", Display()).state_dict()
    source, target = tmp_path / "best.safetensors", tmp_path / "small.safetensors"
    state = {name: 1.001 * tensor.contiguous() for name, tensor in state.items()}
    save_file(state, source, {"command": "vshdr train", "steps": "7"})
    assert models.convert_weights(source, target, half=True) == "gainmap"
    with safe_open(target, "pt") as file:
        told = file.metadata()
        assert all(file.get_tensor(name).dtype == torch.float16 for name in state)
    assert told == {
        "command": "vshdr train",
        "steps": "7",
        "model": "gainmap",
        "source": source.name,
        "sha256": sha256(source),
    }


def test_the_mean_of_weights(tmp_path):
    state = models.build("gainmap", "", Display()).state_dict()
    sources = []
    for factor in (0.9, 1.1, 1.3):
        sources.append(tmp_path / f"{factor}.safetensors")
        told = {"steps": str(factor)}
        save_file({name: factor * tensor.contiguous() for name, tensor in state.items()}, sources[-1], told)
    target = tmp_path / "mean.safetensors"
    assert models.average_weights(sources, target) == "gainmap"
    for name, tensor in weights.read(target).items():
        torch.testing.assert_close(tensor, 1.1 * state[name])
    with safe_open(target, "pt") as file:
        source = "mean of 0.9.safetensors, 1.1.safetensors, 1.3.safetensors"
        assert file.metadata() == {"steps": "0.9", "model": "gainmap", "source": source}
    mask = os.umask(0)
    os.umask(mask)
    assert target.stat().st_mode & 0o777 == 0o666 & ~mask  # not its user's alone, as safetensors writes files
    with pytest.raises(FileExistsError, match="is there already"):
        models.average_weights(sources, target)
    torch.save(expandnet_state(), tmp_path / "expandnet.pth")
    with pytest.raises(ValueError, match="of different networks have no mean: .*gainmap, .*of expandnet"):
        models.average_weights([sources[0], tmp_path / "expandnet.pth"], tmp_path / "other.safetensors")
    assert not (tmp_path / "other.safetensors").exists()


def test_packaged_weights_are_listed_and_found():
    packaged = [entry for entry in models.catalogue().status() if entry.checksum == "packaged"]
    assert [entry.name for entry in packaged] == ["gainmap"]
    for entry in packaged:
        assert entry.path.stat().st_size == entry.size
        assert (
            models.catalogue().locate("", entry.model)
            == models.catalogue().locate(entry.name, entry.model)
            == entry.path
        )


def test_converts_nothing_that_fits_no_network(tmp_path):
    state = expandnet_state()
    state["mid_net.3.bias"] = torch.zeros(63)
    torch.save(state, tmp_path / "odd.pth")
    complaint = r"odd\.pth does not fit expandnet: mid_net\.3\.bias has shape \(63,\), not \(64,\)"
    with pytest.raises(ValueError, match=complaint):
        models.convert_weights(tmp_path / "odd.pth", tmp_path / "odd.safetensors")
    with pytest.raises(ValueError, match=r"must end in \.safetensors"):
        models.convert_weights(tmp_path / "odd.pth", tmp_path / "odd.npz")
    assert not list(tmp_path.glob("odd.*s"))


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("VSHDR_CACHE", str(tmp_path))
    return tmp_path / "weights"


def test_locates_files_and_names(cache, tmp_path):
    file = tmp_path / "mine.pth"
    file.touch()
    assert models.catalogue().locate(str(file), "expandnet") == file
    with pytest.raises(OSError, match="expandnet are not here; run: vshdr weights fetch expandnet$"):
        models.catalogue().locate("", "expandnet")
    cache.mkdir()
    (cache / "expandnet.pth").touch()
    (cache / "hdrcnn-compressed.npz").touch()
    assert models.catalogue().locate("", "expandnet") == cache / "expandnet.pth"
    assert models.catalogue().locate("hdrcnn-compressed", "hdrcnn") == cache / "hdrcnn-compressed.npz"


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ("hdrcnn", "weights 'hdrcnn' are for hdrcnn, not for expandnet"),
        ("nonsense", "'nonsense' is neither a file nor known weights; choose from expandnet, .*, or name a file"),
        ("some/where.pth", "there is no file some/where.pth"),
    ],
)
def test_names_that_cannot_be_located(cache, asked, complaint):
    with pytest.raises(ValueError, match=complaint):
        models.catalogue().locate(asked, "expandnet")


def test_lists_all_and_what_is_here(cache):
    cache.mkdir()
    (cache / "hdrcnn-video.npz").write_bytes(b"1234567")
    lines = {line.name: line for line in models.catalogue().status()}
    assert lines.keys() == {entry.name for name in models.names() for entry in models.card(name).weights}
    assert lines["hdrcnn-video"].path == cache / "hdrcnn-video.npz" and lines["hdrcnn-video"].size == 7
    assert lines["expandnet"].path is None and lines["expandnet"].size_text == "1.8 MB"
    assert lines["hdrcnn"].size_text == "about 118 MB"
    assert (lines["expandnet"].checksum, lines["hdrcnn"].checksum) == ("published", "none")


@pytest.mark.parametrize("name", models.names())
def test_cards_say_what_must_be_known_of_weights(name):
    for entry in models.card(name).weights:
        assert entry.licence and entry.source and entry.summary
        if isinstance(entry, Download):
            assert entry.url.startswith("https://") and entry.size > 0
            assert re.fullmatch(r"([0-9a-f]{64})?", entry.sha256)
            assert entry.path.name in (f"{entry.name}.pth", f"{entry.name}.npz")
        else:
            assert isinstance(entry, Packaged) and entry.path.is_file()


@pytest.mark.skipif("VSHDR_TEST_WEIGHTS" not in os.environ, reason="VSHDR_TEST_WEIGHTS names no folder")
def test_published_files_are_those_of_the_catalogue():
    here = {sha256(path): path for path in Path(os.environ["VSHDR_TEST_WEIGHTS"]).rglob("*.pth")}
    for entry in models.card("expandnet").weights:
        assert isinstance(entry, Download)
        assert here[entry.sha256].stat().st_size == entry.size
        assert len(weights.read(here[entry.sha256])) == 30
