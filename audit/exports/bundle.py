"""Writing a bundle: everything that somebody needs to check the log, or a part of it, without this server."""

from __future__ import annotations

import base64
import json
from array import array
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Protocol

from django.utils.translation import gettext as _

from audit import manifests
from audit.entries import Checkpoint
from audit.exports import page, reading, sources
from audit.exports.archive import Archive, Spool
from audit.exports.around import checkpoint_at, cosigned_note, history, policy_text
from audit.exports.scope import MAX_CHOSEN, Scope
from audit.exports.verifier import source as verifier_source
from audit.exports.verifier.formats import FIRST, MANIFEST, SUMS
from audit.merkle.receipt import Receipt
from audit.merkle.tiles import bundle as entry_bundle
from audit.merkle.tree import TILE_WIDTH
from audit.projection import project
from audit.queries import fetch
from audit.refusals import BadInput
from audit.searching import Search
from audit.tile_files import hash_tile, paths, tile_path

#: Entries that the readable page lists; all of them are in ``entries.jsonl``.
LISTED = 500
_FULL_TILES = (
    "SELECT idx, hashes FROM audit.tile WHERE log_id = %s AND level = %s AND idx >= %s AND idx < %s ORDER BY idx"
)

Progress = Callable[[int, int], None]


class SignsManifests(Protocol):
    """The part of a signer that exports need."""

    def sign_manifest(self, payload: bytes) -> tuple[str, bytes]:
        """Key id in hexadecimal and the Ed25519 signature over the payload's PAE."""


@dataclass(frozen=True, slots=True)
class Written:
    """What was written. ``size`` is the checkpoint's, ``length`` the file's in bytes."""

    log: int
    size: int
    root: str
    entries: int
    length: int
    disclosed: int
    erased: int


@dataclass
class _Work:
    """One bundle in the making."""

    archive: Archive
    folder: Path
    scope: Scope
    log: int
    checkpoint: Checkpoint
    progress: Progress
    lines: Spool
    disclosures: Spool
    gone: Spool
    subjects: list[tuple[str, str]] = field(default_factory=list)
    newest: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=LISTED))
    names: deque[tuple[int, str, str]] = field(default_factory=lambda: deque(maxlen=2 * LISTED))
    counts: dict[str, int] = field(default_factory=lambda: {"entries": 0, "disclosed": 0, "erased": 0, "documents": 0})
    objects: set[str] | None = None
    any_erased: bool = False

    def put(self, name: str, data: bytes) -> None:
        """A file at the top of the bundle: the manifest names it."""
        self.subjects.append((name, self.archive.add(name, data)))


def write(
    target: BinaryIO,
    folder: Path,
    scope: Scope,
    *,
    log: int,
    signer: SignsManifests,
    progress: Progress = lambda _done, _all: None,
) -> Written:
    """Write the bundle of ``scope`` to ``target``; ``folder`` (same disk) takes what must wait meanwhile.

    The same scope over the same log at the same checkpoint gives the same bytes. Memory does not grow with the log.
    Raises ``BadInput`` for a scope that finds nothing or too much, ``Conflict`` for a log that cannot be exported,
    ``OSError`` for a full disk and what the signer raises.
    """
    checkpoint = checkpoint_at(log, scope.check().size)
    note = cosigned_note(log, checkpoint)
    with ExitStack() as closing:
        archive = Archive(target, folder)
        closing.callback(archive.release)
        lines, values, gone = spools = Spool(folder), Spool(folder), Spool(folder)
        for spool in spools:
            closing.callback(spool.close)
        work = _Work(archive, folder, scope, log, checkpoint, progress, lines, values, gone)
        work.any_erased = reading.any_erased(log)
        work.put(FIRST, note.encode())
        work.put("policy.txt", policy_text(log, checkpoint).encode())
        if scope.everything:
            _everything(work)
        else:
            _chosen(work, note)
        for name, spool in zip(("entries.jsonl", "disclosures.jsonl", "erased.jsonl"), spools, strict=True):
            work.subjects.append((name, archive.add_spool(name, spool)))
        for name, data in history(log, checkpoint, scope.previous):
            archive.add(name, data)
        _documents(work)
        work.put("verify.py", verifier_source())
        work.put("index.html", page.render(scope, checkpoint, work.counts, list(work.newest), list(work.names)))
        _sign(work, note, signer)
        length = archive.close()
    counts = work.counts
    root = checkpoint.root.hex()
    return Written(log, checkpoint.size, root, counts["entries"], length, counts["disclosed"], counts["erased"])


def _everything(work: _Work) -> None:
    """The log as tlog-tiles: bundles of entries while reading them, then the hash tiles."""
    size = work.checkpoint.size
    for rows in reading.every_entry(work.log, size):
        for start in range(0, len(rows), TILE_WIDTH):
            tile = rows[start : start + TILE_WIDTH]
            name = tile_path(None, tile[0][0] // TILE_WIDTH, len(tile))
            work.archive.add(name, entry_bundle([entry for _index, entry in tile]))
        _told(work, rows)
        work.progress(work.counts["entries"], size)
    for name, level, index, width in paths(size):
        if level is not None and (width < TILE_WIDTH or index % reading.CHUNK == 0):
            if width < TILE_WIDTH:
                work.archive.add(name, hash_tile(reading.rows, work.log, level, index, width))
            else:
                _full_tiles(work, level, index, (size >> 8 * level) // TILE_WIDTH)


def _full_tiles(work: _Work, level: int, start: int, count: int) -> None:
    end = min(start + reading.CHUNK, count)
    found = reading.rows(_FULL_TILES, [work.log, level, start, end])
    if [index for index, _hashes in found] != list(range(start, end)):
        raise LookupError(f"the log's tables do not hold all tiles of level {level} from {start} on")
    for index, hashes in found:
        work.archive.add(tile_path(level, index), hashes)


def _chosen(work: _Work, note: str) -> None:
    """Each entry with its receipt, and the entries that erased something of them."""
    size = work.checkpoint.size
    indexes = _indexes(work)
    work.objects = set()
    proofs = reading.Proofs(work.log, size)
    for rows in reading.chosen_entries(work.log, indexes):
        for index, entry in rows:
            work.archive.add(f"entries/{index}.json", entry)
            receipt = Receipt(index, tuple(proofs.of(index)), note)
            work.archive.add(f"entries/{index}.tlog-proof", receipt.text().encode())
            work.objects.add(project(entry, "").object_key)
        _told(work, rows)
        work.progress(work.counts["entries"], len(indexes))


def _indexes(work: _Work) -> Sequence[int]:
    size = work.checkpoint.size
    search = Search(work.scope.filters(work.log, size), work.log, fetch)
    found = array("q")
    for index in reading.chosen(search):
        found.append(index)
        if len(found) > MAX_CHOSEN:
            raise BadInput(
                _("More than %(limit)d entries match. Choose a shorter period, or everything, which has no limit.")
                % {"limit": MAX_CHOSEN},
                code="export.too_many",
            )
    if not found:
        raise BadInput(
            _("No entry of the log matches, so there is nothing to export. Choose something else."),
            code="export.empty",
        )
    erasing: set[int] = set()
    for start in range(0, len(found), reading.CHUNK):
        part = found[start : start + reading.CHUNK]
        erasing.update(one.erased_index for one in reading.erased(work.log, part, size))
    return array("q", sorted(erasing.union(found)))


def _told(work: _Work, rows: Sequence[tuple[int, bytes]]) -> None:
    """What is told about entries besides their bytes: the list, disclosed values, and what was erased."""
    # a line feed in JSON is white space; the verifier replaces it in the same way
    lines = [
        b'{"index":%d,"entry":%s}\n'
        % (index, entry.replace(b"\n", b" ").replace(b"\r", b" ") if b"\n" in entry or b"\r" in entry else entry)
        for index, entry in rows
    ]
    work.lines.write(b"".join(lines))
    work.newest.extend(rows[-LISTED:])
    work.counts["entries"] += len(rows)
    indexes = [index for index, _entry in rows]
    if work.scope.disclose:
        for one in reading.disclosed(work.log, indexes, work.scope.disclose):
            told = {"event_id": str(one.event_id), "field": one.field, "index": one.index}
            work.disclosures.write(_line(told | {"salt": one.salt.hex(), "value": one.value}))
            work.counts["disclosed"] += 1
            if one.field in ("actor.name", "reason"):
                work.names.append((one.index, one.field, one.value))
    for lost in reading.erased(work.log, indexes, work.checkpoint.size) if work.any_erased else ():
        who = {"erased_by": str(lost.erased_by), "erased_index": lost.erased_index}
        work.gone.write(_line(who | {"event_id": str(lost.event_id), "field": lost.field, "index": lost.index}))
        work.counts["erased"] += 1


def _line(told: dict[str, object]) -> bytes:
    return json.dumps(told, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def _documents(work: _Work) -> None:
    """Each document once: its name is its digest."""
    wanted = sources.Wanted(None if work.objects is None else frozenset(work.objects))
    seen: set[str] = set()
    for document in sources.documents(wanted):
        if document.path not in seen:
            seen.add(document.path)
            work.archive.add(document.path, document.content)
            work.counts["documents"] += 1


def _sign(work: _Work, note: str, signer: SignsManifests) -> None:
    work.subjects.append((SUMS, work.archive.add_spool(SUMS, work.archive.sums)))
    predicate = {
        "checkpoint": note,
        "root": base64.b64encode(work.checkpoint.root).decode(),
        "size": work.checkpoint.size,
        "entries": work.counts["entries"],
        "selection": work.scope.selection(),
        "disclosed": sorted(work.scope.disclose),
        "language": work.scope.language,
        "previous": work.scope.previous,
    }
    payload = manifests.statement(work.subjects, predicate)
    keyid, signature = signer.sign_manifest(payload)
    work.archive.add(MANIFEST, manifests.envelope(payload, keyid, signature))
