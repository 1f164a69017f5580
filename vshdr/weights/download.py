"""Downloading weights into the user's cache. A download can be resumed, is checked, and is whole or not there."""

from __future__ import annotations

import http.client
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from vshdr.errors import DownloadError, FileError
from vshdr.runtime.locks import open_locked
from vshdr.weights.entries import Download, folder
from vshdr.weights.files import sha256

_CHUNK = 1 << 18
_TIMEOUT = 30.0  # seconds without a byte

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are here, and the bytes of the whole file, or None where the server does not say."""


def fetch(entry: Download, *, progress: Progress | None = None) -> Path:
    """Download the file of `entry`, unless it is here already, and return where it lies.

    What an earlier call left unfinished is continued. The file gets its final name only once its SHA-256 is the one
    expected. Where none is published, the first download is trusted, and its SHA-256 is recorded for all later ones.
    Raise DownloadError where the download fails or is not what it should be, and OSError where it cannot be written.
    """
    target = entry.path
    expected = entry.sha256 or recorded_sha256(entry)
    if target.exists() and expected and sha256(target) == expected:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    with open_locked(part, f"another process is fetching {entry.name} into {part}; wait for it") as file:
        try:
            _download(entry.url, file, part, progress or (lambda done, total: None))
        except OSError:
            if not part.stat().st_size:
                _discard(part)
            raise
        digest = sha256(part)
        if expected and digest != expected:
            _discard(part)
            origin = "the catalogue says" if entry.sha256 else f"the first download had, by {_record_path()},"
            raise DownloadError(
                f"{entry.url} gave a file with SHA-256 {digest} where {origin} {expected}; nothing was kept"
            )
        if not expected:
            _record(entry, digest, part.stat().st_size)
        _tag_path(part).unlink(missing_ok=True)
        os.replace(part, target)
    return target


def recorded_sha256(entry: Download) -> str:
    """Return the SHA-256 that the first download of `entry` had; "" if it was never downloaded."""
    return _records().get(entry.name, {}).get("sha256", "")


def _download(url: str, file: BinaryIO, part: Path, progress: Progress) -> None:
    """Append to `file`, open at `part`, the rest of `url`; all of it where the server's file has changed since."""
    start = file.tell()
    tag = _tag_path(part).read_text() if start and _tag_path(part).exists() else ""
    headers = {"User-Agent": "vshdr"}
    if tag:
        headers |= {"Range": f"bytes={start}-", "If-Range": tag}
    try:
        response = urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=_TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == http.client.REQUESTED_RANGE_NOT_SATISFIABLE and tag:
            _tag_path(part).unlink()  # nothing is left to send: all of it is here, or too much is
            return _download(url, file, part, progress)
        raise DownloadError(f"{url} answered {error.code} {error.reason}") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise DownloadError(f"{url} cannot be reached ({reason}); check the network and run it again") from error
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            start = 0
            file.truncate(0)
        length = response.headers.get("Content-Length")
        total = start + int(length) if length else None
        # A weak tag promises no equal bytes; without a strong one an interrupted download starts again.
        tag = response.headers.get("ETag") or response.headers.get("Last-Modified") or ""
        _tag_path(part).write_text("" if tag.startswith("W/") else tag)
        done = _copy(response, file, start, total, progress)
    if total is not None and done != total:
        raise DownloadError(f"{url} ended after {done} of {total} bytes; run it again to go on from there")
    file.flush()


def _copy(response: http.client.HTTPResponse, file: BinaryIO, done: int, total: int | None, progress: Progress) -> int:
    """Append the response to `file` and return how many bytes there are then."""
    progress(done, total)
    while True:
        try:
            chunk = response.read(_CHUNK)
        except (OSError, http.client.HTTPException) as error:
            raise DownloadError(
                f"{response.url} broke off after {done} bytes ({error}); run it again to go on from there"
            ) from error
        if not chunk:
            return done
        try:
            file.write(chunk)
        except OSError as error:
            raise FileError(f"{file.name} cannot be written ({error.strerror})") from error
        done += len(chunk)
        progress(done, total)


def _tag_path(part: Path) -> Path:
    """Return the file beside an unfinished download that says which version of the server's file it is a part of."""
    return part.with_name(part.name + ".tag")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag_path(part).unlink(missing_ok=True)


def _record_path() -> Path:
    return folder() / "first_downloads.json"


def _records() -> dict[str, dict[str, Any]]:
    try:
        return json.loads(_record_path().read_text())
    except FileNotFoundError:
        return {}
    except ValueError as error:
        raise FileError(f"{_record_path()} is damaged ({error}); delete it to trust the next downloads anew") from error


def _record(entry: Download, digest: str, size: int) -> None:
    records = _records() | {entry.name: {"url": entry.url, "sha256": digest, "size": size}}
    path = _record_path()
    part = path.with_name(f"{path.name}.{os.getpid()}")
    part.write_text(json.dumps(records, indent=2) + "\n")
    os.replace(part, path)
