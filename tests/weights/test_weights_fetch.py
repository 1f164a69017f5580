"""Fetching weights from a server that stops, lies, changes its mind or is not there."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vshdr import models, weights
from vshdr.weights import Catalogue, Download

CONTENT = os.urandom(700_000)
DIGEST = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `server.content`, in parts where asked, and stops after `server.stop_after` bytes."""

    def do_GET(self) -> None:
        server = self.server
        server.ranges.append(self.headers.get("Range"))
        if self.path != "/file.npz":
            self.send_error(404, "Not Found")
            return
        start, wanted = 0, self.headers.get("Range")
        if wanted and server.understands_ranges and self.headers.get("If-Range") == server.tag:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(server.content):
                self.send_error(416)
                return
            self.send_response(206)
            size = len(server.content)
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        else:
            self.send_response(200)
        body = server.content[start:]
        if server.tells_length:
            self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", server.tag)
        self.end_headers()
        self.wfile.write(body[: server.stop_after])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.content, server.tag, server.stop_after = CONTENT, '"one"', None
    server.understands_ranges, server.tells_length, server.ranges = True, True, []
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    monkeypatch.setenv("VSHDR_CACHE", str(tmp_path / "a cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    offer(server)
    yield server
    server.shutdown()
    server.server_close()


def offer(server, file: str = "file.npz", sha256: str = DIGEST) -> None:
    """Gives the server a catalogue with one entry, the file that it serves."""
    url = f"http://127.0.0.1:{server.server_port}/{file}"
    about = {"licence": "none", "source": "a test", "summary": "random bytes"}
    entry = Download(name="light", url=url, size=len(CONTENT), sha256=sha256, **about)
    server.catalogue = Catalogue({"network": [entry]})


def left_behind() -> set[str]:
    return {path.name for path in weights.folder().iterdir()}


def test_fetches_once_and_reports_progress(server):
    seen = []
    path = server.catalogue.fetch("light", progress=lambda done, total: seen.append((done, total)))
    assert path == weights.folder() / "light.npz"
    assert path.read_bytes() == CONTENT
    assert seen[0] == (0, len(CONTENT)) and seen[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert server.catalogue.fetch("light") == path
    assert len(server.ranges) == 1
    assert left_behind() == {"light.npz"}


def test_goes_on_where_it_was_interrupted(server):
    server.stop_after = 300_000
    with pytest.raises(OSError, match="ended after 300000 of 700000 bytes; run it again to go on from there"):
        server.catalogue.fetch("light")
    assert "light.npz" not in left_behind()
    server.stop_after = None
    seen = []
    path = server.catalogue.fetch("light", progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, "bytes=300000-"]
    assert seen[0] == (300_000, 700_000)
    assert left_behind() == {"light.npz"}


def test_starts_again_where_the_server_knows_no_ranges(server):
    server.stop_after, server.understands_ranges = 300_000, False
    with pytest.raises(OSError):
        server.catalogue.fetch("light")
    server.stop_after = None
    assert server.catalogue.fetch("light").read_bytes() == CONTENT


def test_never_joins_parts_of_two_versions(server):
    offer(server, sha256="")
    server.stop_after = 300_000
    with pytest.raises(OSError):
        server.catalogue.fetch("light")
    server.stop_after, server.content, server.tag = None, CONTENT[::-1], '"two"'
    assert server.catalogue.fetch("light").read_bytes() == CONTENT[::-1]


def test_finishes_a_download_of_which_only_the_renaming_was_missing(server):
    server.stop_after = 300_000
    with pytest.raises(OSError):
        server.catalogue.fetch("light")
    (weights.folder() / "light.npz.part").write_bytes(CONTENT)
    server.stop_after = None
    assert server.catalogue.fetch("light").read_bytes() == CONTENT


def test_a_server_that_does_not_say_the_length(server):
    server.tells_length = False
    seen = []
    path = server.catalogue.fetch("light", progress=lambda done, total: seen.append((done, total)))
    assert path.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), None)


def test_wrong_bytes_are_not_kept(server):
    server.content = b"x" + CONTENT[1:]
    with pytest.raises(OSError, match=f"the catalogue says {DIGEST}; nothing was kept"):
        server.catalogue.fetch("light")
    assert left_behind() == set()
    server.content = CONTENT
    assert server.catalogue.fetch("light").read_bytes() == CONTENT


def test_a_damaged_file_in_the_cache_is_fetched_again(server):
    path = server.catalogue.fetch("light")
    path.write_bytes(CONTENT[:-1])
    assert server.catalogue.fetch("light").read_bytes() == CONTENT


def test_the_first_download_is_trusted_and_later_ones_must_equal_it(server):
    offer(server, sha256="")
    assert next(line for line in server.catalogue.status() if line.name == "light").checksum == "none"
    path = server.catalogue.fetch("light")
    record = json.loads((weights.folder() / "first_downloads.json").read_text())
    assert record["light"]["sha256"] == DIGEST and record["light"]["size"] == len(CONTENT)
    assert next(line for line in server.catalogue.status() if line.name == "light").checksum == "recorded"
    path.unlink()
    server.content = CONTENT[::-1]
    with pytest.raises(OSError, match=r"the first download had, by .*first_downloads\.json"):
        server.catalogue.fetch("light")
    assert not path.exists()


def test_a_page_that_is_gone(server):
    offer(server, file="gone.npz")
    with pytest.raises(OSError, match=r"gone\.npz answered 404 Not Found"):
        server.catalogue.fetch("light")
    assert left_behind() == set()
    with pytest.raises(OSError, match="run: vshdr weights fetch light"):
        server.catalogue.locate("light", "network")


def test_no_network(server):
    server.shutdown()
    server.server_close()
    with pytest.raises(OSError, match="cannot be reached .* check the network"):
        server.catalogue.fetch("light")


def test_two_at_once_do_not_mix(server):
    weights.folder().mkdir(parents=True)
    with (weights.folder() / "light.npz.part").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(OSError, match="another process is fetching light"):
            server.catalogue.fetch("light")
    assert server.catalogue.fetch("light").read_bytes() == CONTENT


def test_unknown_names_list_the_known():
    with pytest.raises(ValueError, match="unknown weights 'hdrnet'; the catalogue has expandnet, .*hdrcnn"):
        models.catalogue().fetch("hdrnet")


def test_a_damaged_record_of_first_downloads_is_told_and_trusts_nothing(server):
    """Where the catalogue has no checksum, the first download's is remembered, and later ones are held to it."""
    offer(server, sha256="")
    server.catalogue.fetch("light")
    record = weights.folder() / "first_downloads.json"
    assert json.loads(record.read_text())["light"]["sha256"] == DIGEST
    record.write_text("{")
    next(weights.folder().glob("light*.npz")).unlink()
    with pytest.raises(OSError, match="first_downloads.json is damaged .* delete it to trust the next downloads anew"):
        server.catalogue.fetch("light")
