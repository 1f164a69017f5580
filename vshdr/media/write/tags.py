"""Which tags of a source stay true in the new file."""

from __future__ import annotations

from collections.abc import Mapping

# Tags that describe the old file or its coding, not the programme.
_STALE_TAGS = {
    "encoder",
    "encoding_tool",
    "major_brand",
    "minor_version",
    "compatible_brands",
    "duration",
    "bps",
    "number_of_frames",
    "number_of_bytes",
    "vendor_id",
    "handler_name",
}


def lasting_tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the tags of a file or a stream that describe the programme; MP4's "name" of a track becomes its title."""
    tags = {
        key: value
        for key, value in metadata.items()
        if key.lower().split("-")[0] not in _STALE_TAGS and not key.upper().startswith("_STATISTICS_")
    }
    if "name" in tags:
        tags.setdefault("title", tags.pop("name"))
    return tags
