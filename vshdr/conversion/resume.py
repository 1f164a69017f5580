"""What an interrupted conversion must have in common with the one that goes on with it."""

from __future__ import annotations

import dataclasses
import json

from vshdr import __version__, models
from vshdr.expand.expander import Expander
from vshdr.media.read.source import Source
from vshdr.options.convert import ConvertOptions
from vshdr.weights.files import sha256


def fingerprint(clip: Source, expander: Expander, options: ConvertOptions) -> str:
    """Return all that decides the pixels of an EXR frame, as JSON: with `resume`, only frames made with the same are
    kept.

    Batch and tiles are those that the expander has fixed, so its `choose_batch` comes first. The batch counts because
    a GPU rounds by it. On a CPU it is always 1, as frames go through one by one whatever the option says. Raise
    OSError where the weights cannot be read.
    """
    choices = dataclasses.asdict(expander.options)
    del choices["device_index"]  # which one of several equal devices
    choices |= {
        "model": expander.card.name,
        "precision": expander.precision,
        "device": expander.device.type,
        "batch": expander.frames_per_call,
        "tile": expander.tile,
    }
    settings = choices | {
        "vshdr": __version__,
        "source": clip.name,
        "source_digest": clip.digest(),
        "weights_sha256": _weights_sha256(expander),
        "exr_type": options.exr_type,
        "exr_compression": options.exr_compression,
        "exr_start": options.exr_start,
    }
    return json.dumps(settings, sort_keys=True)


def _weights_sha256(expander: Expander) -> str:
    """Return the SHA-256 of the whole weights file, also of a packaged one; "" for an operator, which has none."""
    card = expander.card
    return sha256(models.catalogue().locate(expander.options.weights, card.name)) if card.network else ""
