"""Verification of the whole log: everything is computed again from the stored bytes, nothing is sampled.

Three outcomes: ``verified``; ``failed`` with the first difference named; ``unknown`` when a part could not be checked,
which is never shown as fine.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import psycopg
from django.db import connection
from django.utils.translation import gettext as _

from audit import posture
from audit.log import log_id
from audit.merkle import canonical
from audit.merkle.checkpoint import Head, NoteInvalid, Vkey, verify
from audit.merkle.tree import EMPTY_ROOT, FullTile, GrowingTree, leaf_hash
from audit.projection import project
from audit.signer import SignerRefusal, SignerUnavailable, Signing

MAX_FINDINGS = 100

# One row for each leaf: its entry, what the read model shows of it, and the digests of its private values.
_LEAVES = """
    SELECT l.leaf_index, l.leaf_hash, e.entry, e.event_id::text, e.object_key,
           v.event, v.actor_id, v.subject, v.object_key, v.request_id, v.occurred_at, v.event_id = e.event_id,
           v.recorded_at = e.created_at,
           (SELECT jsonb_object_agg(p.field, encode(sha256(p.salt || p.body), 'hex')) FROM audit.payload p
            WHERE p.log_id = e.log_id AND p.event_id = e.event_id)
    FROM audit.leaf l
    LEFT JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    LEFT JOIN audit.event v ON (v.log_id, v.leaf_index) = (l.log_id, l.leaf_index)
    WHERE l.log_id = %s ORDER BY l.leaf_index
"""
_STRAYS = """
    SELECT (SELECT count(*) FROM audit.event v WHERE v.log_id = %s
            AND NOT EXISTS (SELECT FROM audit.leaf l WHERE (l.log_id, l.leaf_index) = (v.log_id, v.leaf_index))),
           (SELECT count(*) FROM audit.payload p WHERE p.log_id = %s
            AND NOT EXISTS (SELECT FROM audit.entry e WHERE (e.log_id, e.event_id) = (p.log_id, p.event_id)))
"""


@dataclass
class Step:
    """One thing that was checked. ``state`` is passed, failed or unknown."""

    name: str
    detail: str
    findings: list[str] = field(default_factory=list)
    unknown: bool = False

    @property
    def state(self) -> str:
        """Failed beats unknown beats passed."""
        return "failed" if self.findings else "unknown" if self.unknown else "passed"


@dataclass(frozen=True)
class Verdict:
    """The result over a log of ``size`` entries with ``root``; times in UTC."""

    size: int
    root: bytes
    steps: tuple[Step, ...]
    started_at: datetime
    finished_at: datetime

    @property
    def outcome(self) -> str:
        """``verified``, ``failed`` or ``unknown``."""
        states = {step.state for step in self.steps}
        return "failed" if "failed" in states else "unknown" if "unknown" in states else "verified"

    @property
    def findings(self) -> list[str]:
        """Every difference, the first one first."""
        return [finding for step in self.steps for finding in step.findings]


@dataclass
class _Tree:
    """What is computed from the leaves: the tree, its tiles, and its root at each size that a checkpoint names."""

    wanted: frozenset[int]
    growing: GrowingTree = field(default_factory=GrowingTree)
    tiles: dict[tuple[int, int], FullTile] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=lambda: {0: EMPTY_ROOT})

    def append(self, leaf: bytes) -> Iterator[FullTile]:
        yield from self.growing.append(leaf)
        if self.growing.size in self.wanted:
            self.roots[self.growing.size] = self.growing.root()


def verify_log(
    signer: Signing | None, *, heads: Sequence[str] = (), vkeys: Sequence[Vkey] = (), number: int | None = None
) -> Verdict:
    """Verify the log over a connection of its own, in one snapshot.

    ``signer`` gives the head that it signed last (None: unknown). ``heads`` are notes kept outside (a witness, an
    auditor), ``vkeys`` keys known from outside: the log's announced keys must be among them. Raises ``psycopg.Error``
    when the database cannot be read: that is «could not verify».
    """
    number = number or log_id()
    started = datetime.now(UTC)
    outside = _ask(signer)  # before the snapshot: what is signed is committed, so the snapshot can only be ahead
    with _snapshot() as own:
        keys, announced = _keys(own, number, outside, vkeys)
        stored = own.execute(
            "SELECT size, root, note FROM audit.checkpoint WHERE log_id = %s ORDER BY size", [number]
        ).fetchall()
        kept = _Kept(keys, heads)
        sizes = {size for size, _root, _note in stored} | {head.size for head in kept.heads}
        sizes |= {outside.head.size} if outside.head else set()
        tree = _Tree(frozenset(sizes))
        entries = _entries(own, number, tree)
        steps = [
            announced,
            entries,
            _tiles(own, number, tree),
            _checkpoints(stored, keys, tree),
            _signer_step(outside, tree),
            *([_kept_step(kept, tree)] if heads else []),
            _posture(own),
        ]
    root = tree.growing.root()
    return Verdict(tree.growing.size, root, tuple(steps), started, datetime.now(UTC))


@dataclass(frozen=True)
class _Outside:
    head: Head | None
    vkeys: tuple[str, ...] = ()
    problem: str = ""


class _Kept:
    """Heads that someone kept outside, as far as their signatures hold."""

    def __init__(self, keys: Sequence[tuple[Vkey, int]], notes: Iterable[str]) -> None:
        self.heads: list[Head] = []
        self.findings: list[str] = []
        for note in notes:
            try:
                self.heads.append(verify(note, [vkey for vkey, _from in keys]))
            except NoteInvalid as error:
                self.findings.append(_("the checkpoint kept outside is not signed by the log: %s") % error)


def _ask(signer: Signing | None) -> _Outside:
    if signer is None:
        return _Outside(None, problem=_("no signer is configured"))
    try:
        head, _note = signer.head()
        return _Outside(head, tuple(str(vkey) for vkey in signer.vkeys))
    except (SignerUnavailable, SignerRefusal) as error:
        return _Outside(None, problem=str(error))


def _snapshot() -> psycopg.Connection[tuple[Any, ...]]:
    """A connection of the same role, read-only, in one snapshot: entries that arrive meanwhile change nothing."""
    parameters = connection.get_connection_params()
    wanted = {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}
    own: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(**wanted, application_name="audit-verify")
    own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    own.read_only = True
    return own


def _keys(
    own: psycopg.Connection[tuple[Any, ...]], number: int, outside: _Outside, known: Sequence[Vkey]
) -> tuple[list[tuple[Vkey, int]], Step]:
    step = Step("keys", "")
    keys: list[tuple[Vkey, int]] = []
    rows = own.execute("SELECT vkey, from_size FROM audit.key WHERE log_id = %s", [number]).fetchall()
    for text, from_size in rows:
        try:
            keys.append((Vkey.parse(text), from_size))
        except NoteInvalid as error:
            step.findings.append(_("an announced key cannot be read: %s") % error)
    step.detail = _("%(n)d signing keys are announced") % {"n": len(keys)}
    if not keys:
        step.findings.append(_("the log has announced no signing key"))
    texts = {str(vkey) for vkey, _from in keys}
    for source, theirs in ((_("the signer"), set(outside.vkeys)), (_("the keys given"), {str(v) for v in known})):
        if theirs - texts:  # each checkpoint needs every announced key, so a missing one is the danger
            step.findings.append(_("the announced keys are not those of %s") % source)
    return keys, step


def _entries(own: psycopg.Connection[tuple[Any, ...]], number: int, tree: _Tree) -> Step:
    step = Step("entries", "")
    with own.cursor(name="leaves") as cursor:
        cursor.itersize = 5000
        cursor.execute(_LEAVES, [number])
        for index, hashed, data, *told in cursor:
            if index != tree.growing.size:
                _note(step, _("entry #%(wanted)d is missing: the next is #%(index)d") % _at(tree, index))
                break
            for problem in _problems(hashed, data, told):
                _note(step, _("entry #%(index)d: %(problem)s") % {"index": index, "problem": problem})
            # The tree is built from the bytes where there are any: the stored hash proves nothing.
            for tile in tree.append(leaf_hash(data) if data is not None else hashed):
                tree.tiles[tile.level, tile.index] = tile
    row = own.execute(_STRAYS, [number, number]).fetchone()
    shown, private = row or (0, 0)
    if shown:
        _note(step, _("the list shows %(n)d entries that are not in the tree") % {"n": shown})
    if private:
        _note(step, _("%(n)d private values belong to no entry") % {"n": private})
    step.detail = _("%(n)s entries hashed and compared with what is shown of them") % {"n": f"{tree.growing.size:,}"}
    return step


def _at(tree: _Tree, index: int) -> dict[str, int]:
    return {"wanted": tree.growing.size, "index": index}


def _problems(hashed: bytes, data: bytes | None, told: Sequence[Any]) -> Iterator[str]:
    if data is None:
        yield _("its bytes are missing")
        return
    if leaf_hash(data) != hashed:
        yield _("its bytes do not have the hash that is in the tree")
    event_id, object_key, *shown, same_id, same_time, digests = told
    try:
        value = canonical.decode(data)
    except canonical.NotCanonical as error:
        yield _("its bytes are not canonical: %s") % error
        value = {}
    if value and (value.get("id"), value.get("object")) != (event_id, object_key):
        yield _("its id or object differs from the row that holds it")
    if shown[0] is None:
        yield _("the list does not show it")
    else:
        row = project(data, object_key)
        wanted = [row.event, row.actor_id, row.subject, object_key, row.request_id, row.occurred_at]
        if shown != wanted or not same_id or not same_time:
            yield _("the list shows something else than its bytes say")
    yield from _commitment_problems(project(data, object_key).commitments, digests or {})


def _commitment_problems(promised: Mapping[str, str], digests: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(promised.keys() | digests.keys()):
        if name not in digests:
            yield _("the private value «%s» is missing without an erasure") % name
        elif name not in promised:
            yield _("a private value «%s» was added later") % name
        elif promised[name] != digests[name]:
            yield _("the private value «%s» is not the one that was recorded") % name


def _tiles(own: psycopg.Connection[tuple[Any, ...]], number: int, tree: _Tree) -> Step:
    step = Step("tiles", _("%(n)s full tiles computed and compared") % {"n": f"{len(tree.tiles):,}"})
    missing = dict(tree.tiles)
    with own.cursor(name="tiles") as cursor:
        cursor.execute(
            "SELECT level, idx, hashes, root FROM audit.tile WHERE log_id = %s ORDER BY level, idx", [number]
        )
        for level, index, hashes, root in cursor:
            tile = missing.pop((level, index), None)
            if tile is None or (tile.hashes, tile.root) != (hashes, root):
                _note(step, _("tile %(level)d/%(index)d does not fit the entries") % {"level": level, "index": index})
    for level, index in missing:
        _note(step, _("tile %(level)d/%(index)d is missing") % {"level": level, "index": index})
    return step


def _checkpoints(stored: Sequence[tuple[Any, ...]], keys: Sequence[tuple[Vkey, int]], tree: _Tree) -> Step:
    step = Step("checkpoints", _("%(n)s checkpoints: both signatures and the root of each") % {"n": f"{len(stored):,}"})
    for size, root, note in stored:
        valid = [vkey for vkey, from_size in keys if from_size <= size]
        try:
            head = verify(note, valid)
        except NoteInvalid as error:
            _note(step, _("checkpoint %(size)d: %(problem)s") % {"size": size, "problem": error})
            continue
        if (head.size, head.root) != (size, root):
            _note(step, _("checkpoint %(size)d: the note signs something else than the row says") % {"size": size})
        _compare(step, _("checkpoint %(size)d") % {"size": size}, head, tree)
    if tree.growing.size and not stored:
        step.unknown = True
        step.detail = _("the log has no signed checkpoint yet")
    return step


def _signer_step(outside: _Outside, tree: _Tree) -> Step:
    step = Step("signer", outside.problem)
    if outside.head is None:
        step.unknown = True
        return step
    step.detail = _("the signer's own memory ends at %(n)s entries") % {"n": f"{outside.head.size:,}"}
    _compare(step, _("the signer's head"), outside.head, tree)
    return step


def _kept_step(kept: _Kept, tree: _Tree) -> Step:
    step = Step("outside", _("%(n)d checkpoints kept outside") % {"n": len(kept.heads)}, list(kept.findings))
    for head in kept.heads:
        _compare(step, _("the checkpoint kept outside"), head, tree)
    return step


def _compare(step: Step, name: str, head: Head, tree: _Tree) -> None:
    values = {"name": name, "size": head.size, "leaves": tree.growing.size}
    if head.size > tree.growing.size:
        _note(step, _("%(name)s covers %(size)d entries, the log has only %(leaves)d") % values)
    elif tree.roots.get(head.size) != head.root:
        _note(step, _("%(name)s has another root than the first %(size)d entries") % values)


def _posture(own: psycopg.Connection[tuple[Any, ...]]) -> Step:
    def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return own.execute(sql, values or None).fetchall()

    detail = _("owners, grants, triggers and functions are those of the migrations")
    return Step("posture", detail, posture.findings(fetch)[:MAX_FINDINGS])


def _note(step: Step, finding: str) -> None:
    if len(step.findings) < MAX_FINDINGS:
        step.findings.append(finding)
