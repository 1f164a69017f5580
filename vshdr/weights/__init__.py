"""Files of weights: reading and writing them, and a catalogue of those that can be had by name.

This room knows no model. What can be downloaded, and for which model, stands on the models' cards; see
`vshdr.models.catalogue`.
"""

from vshdr.weights.catalogue import Catalogue, Status
from vshdr.weights.entries import PACKAGED, Download, Entry, Packaged, folder
from vshdr.weights.files import metadata, read, sha256, write

__all__ = [
    "PACKAGED",
    "Catalogue",
    "Download",
    "Entry",
    "Packaged",
    "Status",
    "folder",
    "metadata",
    "read",
    "sha256",
    "write",
]
