"""Somebody outside fetches the log as files, with nothing but HTTP."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from audit import tile_files
from audit.entries import newest_checkpoint
from audit.log import log_id
from audit.merkle.checkpoint import Vkey, verify
from audit.merkle.tiles import TileHashes
from audit.merkle.tree import TILE_WIDTH, leaf_hash, range_hash, root_of
from audit.queries import fetch
from audit.tile_files import NotATile, Tile, parse_path, paths, tile_path
from tests import personas
from tests.audit.story import append, as_attacker
from tests.conftest import CommittedDatabase


def entries_of(bundle: bytes) -> list[bytes]:
    """The entries of a bundle: each after its length in two bytes."""
    found = []
    while bundle:
        length = int.from_bytes(bundle[:2])
        found.append(bundle[2 : 2 + length])
        bundle = bundle[2 + length :]
    return found


@pytest.fixture
def log_of_5(sequence: Callable[[], None]) -> str:
    """A log so short that it has partial tiles only; gives the end of their names."""
    append(3)
    sequence()
    return "000.p/5"


@pytest.fixture
def log_of_600(sequence: Callable[[], None]) -> int:
    """Two full tiles and a partial one, signed at the size that is given back."""
    append(200)
    sequence()
    append(398)
    sequence()
    newest = newest_checkpoint()
    assert newest is not None
    return newest.size


def test_whoever_has_the_files_recomputes_the_signed_root_and_every_leaf(
    log_of_600: int, client: Client, client_for: Callable[[str], Client]
) -> None:
    keys = [Vkey.parse(line) for line in client.get("/log/vkey").content.decode().splitlines()]
    head = verify(client.get("/log/checkpoint").content.decode(), keys)
    assert head.size == log_of_600 == 600
    reader, files = client_for("noor"), {}
    for path, level, index, width in paths(head.size):
        answer = (reader if level is None else client).get("/log/of/1/" + path)
        newest = (reader if level is None else client).get("/log/" + path)
        assert answer.status_code == 200, path
        assert (newest.content, newest["Cache-Control"][-9:]) == (answer.content, "max-age=2"), "another log may follow"
        assert answer["Content-Type"] == "application/octet-stream"
        assert answer["Cache-Control"].endswith("max-age=31536000, immutable")
        files[level, index] = answer.content
        assert len(entries_of(answer.content)) == width if level is None else len(answer.content) == 32 * width
    assert set(files) == {(0, 0), (0, 1), (0, 2), (1, 0), (None, 0), (None, 1), (None, 2)}
    hashes = TileHashes(lambda level, index: files[level, index])
    assert range_hash(hashes, 0, head.size) == head.root
    entries = [entry for index in range(3) for entry in entries_of(files[None, index])]
    assert root_of([leaf_hash(entry) for entry in entries]) == head.root
    with pytest.raises(LookupError):
        tile_files.entry_bundle(fetch, log_id(), 77)


def test_partial_tiles_are_those_of_signed_checkpoints_and_stay_when_the_tile_is_full(
    log_of_600: int, client: Client
) -> None:
    sizes = [row[0] for row in fetch("SELECT size FROM audit.checkpoint WHERE log_id = %s ORDER BY size", [log_id()])]
    assert log_of_600 in sizes
    assert len(sizes) >= 2
    for size in sizes:
        for path, level, _index, _width in paths(size):
            if level is not None:
                assert client.get("/log/" + path).status_code == 200, (size, path)
    widths = {size % TILE_WIDTH for size in sizes if size < TILE_WIDTH}
    for width in range(1, TILE_WIDTH):
        answer = client.get(f"/log/{tile_path(0, 0, width)}")
        assert answer.status_code == (200 if width in widths else 404)
    for path in ("tile/0/003", "tile/0/002", "tile/0/002.p/89", "tile/1/000", "tile/1/000.p/3", "tile/2/000.p/1"):
        answer = client.get("/log/" + path)
        assert answer.status_code == 404
        assert answer["Cache-Control"] == "no-store"


def test_leaves_that_no_checkpoint_covers_yet_are_not_served(
    log_of_600: int, client: Client, committed_db: CommittedDatabase
) -> None:
    as_attacker(
        committed_db.admin_url,
        f"INSERT INTO audit.checkpoint (log_id, size, root, note, watermark)"
        f" SELECT log_id, 610, root, note, watermark FROM audit.checkpoint WHERE size = {log_of_600}",
    )
    # A checkpoint promises what the tables do not have: that is said, and nothing incomplete is handed out.
    answer = client.get("/log/tile/0/002.p/98")
    assert (answer.status_code, answer["Cache-Control"]) == (503, "no-store")
    assert "audit_verify" in answer.content.decode()


def test_caches_ask_again_for_the_checkpoint_only_and_get_nothing_twice(log_of_5: str, client: Client) -> None:
    for path, age in {"checkpoint": 2, "vkey": 60, f"tile/0/{log_of_5}": 31536000}.items():
        answer = client.get(f"/log/of/1/{path}")
        assert answer["Cache-Control"].startswith(f"public, max-age={age}")
        again = client.get(f"/log/{path}", headers={"If-None-Match": answer["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        assert again["ETag"] == answer["ETag"]
        other = client.get(f"/log/{path}", headers={"If-None-Match": '"something-else"'})
        assert other.content == answer.content
    assert client.head(f"/log/tile/0/{log_of_5}").status_code == 200
    assert client.post(f"/log/tile/0/{log_of_5}").status_code == 405
    with CaptureQueriesContext(connection) as queries:
        client.get(f"/log/tile/0/{log_of_5}")
    assert len(queries) <= 3


def test_entries_are_for_those_who_may_read_the_log(
    log_of_5: str, client: Client, client_for: Callable[[str], Client], api_for: Callable[[str], Client]
) -> None:
    path = f"/log/tile/entries/{log_of_5}"
    answer = client.get(path)
    assert answer.status_code == 401
    assert "Sign in, or send a token" in answer.json()["detail"]
    assert client.get(path, headers={"Authorization": "Bearer csn_nonsense"}).status_code == 401
    secret = personas.token_of("layla", scopes=("registry.read",))
    refused = client.get(path, headers={"Authorization": f"Bearer {secret}"})
    assert refused.status_code == 403
    assert "audit.read" in refused.json()["detail"]
    by_session, by_token = client_for("noor").get(path), api_for("ci").get(path)
    assert len(entries_of(by_session.content)) == 5
    assert by_session.content == by_token.content
    assert by_session["Cache-Control"].startswith("private, ")
    assert {"Authorization", "Cookie"} <= {name.strip() for name in by_session["Vary"].split(",")}
    media = {"Accept": "application/octet-stream"}
    assert client_for("noor").get(path, headers=media).content == by_session.content
    assert client_for("noor").get("/log/tile/entries/9").status_code == 404


@pytest.mark.django_db
@pytest.mark.parametrize(
    "name",
    [
        "",
        "0",
        "0/",
        "0/0",
        "0/0000",
        "0/1000",
        "0/x000/000",
        "0/000/000",
        "0/x001/x002",
        "0/x1/002",
        "0/X001/002",
        "0/000/",
        "0/000.p",
        "0/000.p/",
        "0/000.p/0",
        "0/000.p/01",
        "0/000.p/256",
        "0/000.p/999",
        "0/000.p/-1",
        "0/000.p/1.p/1",
        "0/000.p/1%20",
        "00/000",
        "6/000",
        "63/000",
        "64/000",
        "-1/000",
        "+1/000",
        "٠/000",
        "0/٠٠٠",
        "x/000",
        "0/..%2f000",
        "0/../../../etc/passwd",
        "5/x999/x999/x999/x999/x999/999",
        "0/" + "x999/" * 6 + "999",
        "0/" + "x999/" * 2000 + "999",
        "9" * 5000 + "/000",
        "entries",
        "entries/",
        "entries/0",
        "entries/000.p/256",
        "Entries/000",
    ],
)
def test_a_malformed_address_is_not_found_and_says_what_one_looks_like(
    client_for: Callable[[str], Client], name: str
) -> None:
    answer = client_for("noor").get(f"/log/tile/{name}")
    assert answer.status_code == 404
    if name not in ("", "entries"):
        assert "tile/<level>/<index>" in answer.content.decode()
    with pytest.raises(NotATile):
        parse_path(f"tile/{name}")


@pytest.mark.django_db
def test_the_largest_addresses_are_not_found_either(client_for: Callable[[str], Client]) -> None:
    reader = client_for("noor")
    for name in ("0/x035/x999/x999/x999/x999/999", "5/x032/766", "entries/x035/x999/x999/x999/x999/999.p/255"):
        assert reader.get(f"/log/tile/{name}").status_code == 404


@given(st.sampled_from([None, 0, 1, 2, 3, 4, 5]), st.integers(0, 2**55), st.integers(1, 256))
def test_a_path_reads_back_as_what_it_names(level: int | None, index: int, width: int) -> None:
    path = tile_path(level, index, width)
    tile = Tile(level, index, width)
    if tile.sizes[0] < 2**63:
        assert parse_path(path) == tile
    else:
        with pytest.raises(NotATile):
            parse_path(path)


def test_the_files_of_a_size_are_those_that_the_specification_counts() -> None:
    # The example of tlog-tiles, «Partial Tiles».
    listed = list(paths(70_000))
    by_level = {level: [width for _path, one, _index, width in listed if one == level] for level in (0, 1, 2, None)}
    assert by_level[0] == by_level[None] == [256] * 273 + [112]
    assert by_level[1] == [256, 17]
    assert by_level[2] == [1]
    assert [path for path, level, _index, _width in paths(256) if level is not None] == ["tile/0/000", "tile/1/000.p/1"]
    assert list(paths(0)) == []
