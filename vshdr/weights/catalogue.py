"""The weights that can be downloaded: where from, under which licence, and what their bytes must be."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vshdr.errors import InputError

PACKAGED = Path(__file__).parent
"""Where MODEL.safetensors lies for each model whose weights are part of vshdr."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of weights somebody published."""

    name: str
    """The name it is asked for by."""
    model: str
    """The model that it fits."""
    url: str
    """Where it is downloaded from."""
    size: int
    """In bytes; exact where `sha256` is given, else what its tensors must take."""
    sha256: str
    """What the file must hash to, in hexadecimal; "" where none is published: then the first download is
    trusted and recorded.
    """
    licence: str
    """SPDX identifier, and what it covers where that is not plain."""
    source: str
    """The publication and the repository that it comes from."""
    summary: str
    """What sets it apart from the model's other weights."""

    @property
    def filename(self) -> str:
        """The file's name in the cache: the entry's name with the suffix of the URL."""
        return self.name + self.url[self.url.rindex(".") :]


_GITHUB = "https://raw.githubusercontent.com/"
_EXPANDNET = _GITHUB + "dmarnerides/hdr-expandnet/2b47572a88f247e0f44eb14065b0ed4fc9618e0d/"
_STABLE = _GITHUB + "kacperkk2/temporalStableExpandNet/87a4d6c8c1a47b721760c9daf2727e380b90c541/net_params/"
_HDRCNN = "https://computergraphics.on.liu.se/hdrcnn/material/"


def _stable(name: str, file: str, size: int, sha256: str, summary: str) -> Entry:
    return Entry(
        name=f"expandnet-stable-{name}",
        model="expandnet",
        url=_STABLE + file,
        size=size,
        sha256=sha256,
        licence="BSD-3-Clause-Clear",
        source="github.com/kacperkk2/temporalStableExpandNet",
        summary=summary,
    )


def _hdrcnn(name: str, file: str, summary: str) -> Entry:
    return Entry(
        name=name,
        model="hdrcnn",
        url=_HDRCNN + file,
        size=4 * 29_447_332,
        sha256="",
        # The repository's licence covers its code; the server that has the files says nothing of theirs.
        licence="BSD-3-Clause (the code; none stated for the file)",
        source="github.com/gabrieleilertsen/hdrcnn",
        summary=summary,
    )


# The first entry of a model is its default.
ENTRIES = {
    entry.name: entry
    for entry in (
        Entry(
            name="expandnet",
            model="expandnet",
            url=_EXPANDNET + "weights.pth",
            size=1_831_689,
            sha256="145d1ad92a043dbfccb2c6078360d6b86d7829d2ec31a189c2c6ff61a6da37b7",
            licence="BSD-3-Clause-Clear",
            source="Marnerides et al., Eurographics 2018; github.com/dmarnerides/hdr-expandnet",
            summary="as published with ExpandNet",
        ),
        _stable(
            "base",
            "baseRec_tuningRec.pth",
            1_838_601,
            "876735738599c805a2db418008f5082cc23532456190ff8e1385c453c04b2510",
            "other training data, no stability term; can turn a bright scene black",
        ),
        _stable(
            "l1",
            "baseRec_tuningStab_L1Loss.pth",
            1_838_605,
            "f1ffcddc38657d0a7cc513e117ff35e45ef898b26bdb54bab1eef0054d32aa69",
            "tuned for stability with an L1 loss; can turn a bright scene black",
        ),
        _stable(
            "l2",
            "baseRec_tuningStab_L2Loss.pth",
            1_838_601,
            "251b7ce508aa9ec002a1ccd892a11d33bdd0abc6a8b9a3b8209e7db05f6ec9dc",
            "tuned for stability with an L2 loss; can turn a bright scene black",
        ),
        _stable(
            "rec",
            "baseRec_tuningStab_recLoss.pth",
            1_838_607,
            "39c6ff17ca37ec17de65d4a6aaf71b3b33d52d627f231b8cebd915c870fb035b",
            "tuned for stability with ExpandNet's own loss; can turn a bright scene black",
        ),
        _stable(
            "ssim",
            "baseRec_tuningStab_ssimLoss.pth",
            1_838_601,
            "5a0382933bc4beba1a378f4af6c37d473a42d98f5846f42883e963457f12ad39",
            "trained for stability with an SSIM loss; flickers least, and blurs the picture",
        ),
        _hdrcnn(
            "hdrcnn-video",
            "hdrcnn_params_compr_regularized.npz",
            "trained on compressed pictures, with temporal regularisation",
        ),
        _hdrcnn("hdrcnn-compressed", "hdrcnn_params_compr.npz", "trained on compressed pictures"),
        _hdrcnn("hdrcnn", "hdrcnn_params.npz", "trained on clean pictures: the most detail, flickers in video"),
    )
}


def names(model: str) -> tuple[str, ...]:
    """Return the names of the entries for `model`, its default first."""
    return tuple(entry.name for entry in ENTRIES.values() if entry.model == model)


def find(name: str) -> Entry:
    """Return the entry `name`. Raise InputError that lists the known names, and for what need not be fetched."""
    if (PACKAGED / f"{name}.safetensors").is_file():
        raise InputError(f"the weights '{name}' are packaged with vshdr; there is nothing to fetch")
    if name not in ENTRIES:
        raise InputError(f"unknown weights '{name}'; the catalogue has {', '.join(ENTRIES)}")
    return ENTRIES[name]
