"""Copies of entries in files: written before a checkpoint is signed, read to put back what a database has lost.

A folder of entries is laid out as C2SP tlog-tiles has it, ``tile/entries/<index>``, 256 entries to a file, each after
its length in two bytes. The rightmost file grows until it is full, so it needs no ``.p/<width>`` of its own; reading
accepts both, from a folder or from a zip.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

from audit.merkle import tiles
from audit.merkle.tree import TILE_WIDTH
from audit.stored_tree import Fetch

_ENTRIES = """
    SELECT e.entry FROM audit.leaf l JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE l.log_id = %s AND l.leaf_index >= %s AND l.leaf_index < %s ORDER BY l.leaf_index
"""
_AT_ONCE = 10 * TILE_WIDTH


class CopyDamaged(Exception):  # noqa: N818
    """A copy of entries is missing, cut off or not one of this log; nothing was changed."""


class EntryCopies:
    """The copies of every log of this server, each in a folder named by the log's number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[int, int] = {}

    def extend(self, fetch: Fetch, log_id: int, size: int) -> None:
        """Bring the copy up to ``size`` entries, on disk before it returns. Raises ``OSError``, ``CopyDamaged``."""
        folder = self._folder / str(log_id)
        if log_id not in self._known:
            self._known[log_id] = _trim(folder)
        while (have := self._known[log_id]) < size:
            upto = min(size, (have // _AT_ONCE + 1) * _AT_ONCE)
            entries = [bytes(row[0]) for row in fetch(_ENTRIES, [log_id, have, upto])]
            if len(entries) != upto - have:
                raise CopyDamaged(f"the entries {have} to {upto} of log {log_id} are not all in the database")
            del self._known[log_id]  # until it is written: what failed half way is trimmed at the next try
            _append(folder, have, entries)
            self._known[log_id] = upto


def read_copy(source: Path, start: int = 0) -> Iterator[bytes]:
    """The entries from index ``start`` on, in order, of a folder or zip. Raises ``CopyDamaged``."""
    tile = start // TILE_WIDTH
    with _opened(source) as read:
        while True:
            data = _bundle(read, tile)
            if data is None:
                return
            entries = list(_split(data, f"{source}: {tiles.path('entries', tile)}"))
            yield from entries[max(0, start - tile * TILE_WIDTH) :]
            if len(entries) < TILE_WIDTH:
                return
            tile += 1


class _opened:  # noqa: N801
    """``read(name) -> bytes | None`` over a folder or a zip."""

    def __init__(self, source: Path) -> None:
        self._source = source
        self._zip: zipfile.ZipFile | None = None

    def __enter__(self) -> Callable[[str], bytes | None]:
        if self._source.is_dir():
            return self._from_folder
        try:
            self._zip = zipfile.ZipFile(self._source)
        except (OSError, zipfile.BadZipFile) as error:
            raise CopyDamaged(f"{self._source} is neither a folder nor a zip: {error}") from error
        return self._from_zip

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def _from_folder(self, name: str) -> bytes | None:
        path = self._source / name
        return path.read_bytes() if path.is_file() else None

    def _from_zip(self, name: str) -> bytes | None:
        assert self._zip is not None  # noqa: S101  opened above
        try:
            info = self._zip.getinfo(name)
        except KeyError:
            return None
        if info.file_size > TILE_WIDTH * (2 + 65_535):
            raise CopyDamaged(f"{self._source}: {name} is larger than 256 entries can be")
        try:
            return self._zip.read(info)
        except (zipfile.BadZipFile, OSError, EOFError) as error:
            raise CopyDamaged(f"{self._source}: {name} cannot be read: {error}") from error


def _bundle(read: Callable[[str], bytes | None], tile: int) -> bytes | None:
    data = read(tiles.path("entries", tile))
    if data is not None:
        return data
    partial = (read(tiles.path("entries", tile, width)) for width in range(TILE_WIDTH - 1, 0, -1))
    return next((data for data in partial if data is not None), None)


def _split(data: bytes, name: str) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        length = int.from_bytes(data[at : at + 2])
        entry = data[at + 2 : at + 2 + length]
        if at + 2 > len(data) or len(entry) != length:
            raise CopyDamaged(f"{name} ends in the middle of an entry")
        yield entry
        at += 2 + length


def _append(folder: Path, have: int, entries: list[bytes]) -> None:
    while entries:
        room = TILE_WIDTH - have % TILE_WIDTH
        path = folder / tiles.path("entries", have // TILE_WIDTH)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as file:
            file.write(tiles.bundle(entries[:room]))
            file.flush()
            os.fsync(file.fileno())
        have, entries = have + len(entries[:room]), entries[room:]
    descriptor = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _trim(folder: Path) -> int:
    """How many whole entries the copy has; an entry that a crash cut off at the end is taken away."""
    tile = 0
    while (folder / tiles.path("entries", tile + 1)).exists():
        tile += 1
    path = folder / tiles.path("entries", tile)
    if not path.exists():
        return 0
    data, at, count = path.read_bytes(), 0, 0
    while at + 2 <= len(data) and at + 2 + int.from_bytes(data[at : at + 2]) <= len(data):
        at, count = at + 2 + int.from_bytes(data[at : at + 2]), count + 1
    if at < len(data):
        os.truncate(path, at)
    return tile * TILE_WIDTH + count
