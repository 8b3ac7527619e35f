"""The whole verification: one snapshot, several processes, every step. See ``audit.verification.verify_log``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection
from django.utils.translation import gettext as _

from audit import posture
from audit.keyring import keyring
from audit.log import log_id
from audit.merkle.checkpoint import Vkey
from audit.merkle.tree import TILE_WIDTH
from audit.signer import Signing
from audit.stored_tree import Fetch
from audit.verification import notes as signatures
from audit.verification import pool, resumption
from audit.verification.completeness import completeness_step
from audit.verification.forest import Forest, differences
from audit.verification.ranges import RANGE, Connection, RangeResult, prepare
from audit.verification.sentences import sentence
from audit.verification.verdict import MAX_FINDINGS, Step, Verdict
from audit.verification.worker import Setup, Task

#: ``progress(done, total)``: entries read so far.
Progress = Callable[[int, int], None]

_UPPER = "SELECT level, idx, hashes, root FROM audit.tile WHERE log_id = %s AND (level > 0 OR idx >= %s)"
_COUNTS = """
    SELECT (SELECT count(*) FROM audit.event WHERE log_id = %s), (SELECT count(*) FROM audit.payload WHERE log_id = %s)
"""
_STRAY_EVENTS = """
    SELECT count(*) FROM audit.event v WHERE v.log_id = %s
    AND NOT EXISTS (SELECT FROM audit.leaf l WHERE (l.log_id, l.leaf_index) = (v.log_id, v.leaf_index))
    HAVING count(*) > 0
"""
_STRAY_VALUES = """
    SELECT count(*) FROM audit.payload p WHERE p.log_id = %s
    AND NOT EXISTS (SELECT FROM audit.entry e WHERE (e.log_id, e.event_id) = (p.log_id, p.event_id))
    HAVING count(*) > 0
"""


def verify(
    signer: Signing | None,
    heads: Sequence[str],
    vkeys: Sequence[Vkey],
    number: int,
    progress: Progress | None,
    state: Path | None,
) -> Verdict:
    """See ``audit.verification.verify_log``."""
    started = datetime.now(UTC)
    outside = signatures.ask(signer)  # before the snapshot: what is signed is committed, so the snapshot is ahead
    with _snapshot() as own:

        def fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
            return own.execute(sql, values or None).fetchall()

        ring = keyring(fetch, number)
        announced = signatures.keys_step(fetch, number, ring, outside, vkeys)
        notes = signatures.read_notes(fetch, number, ring, heads)
        wanted = {size for size in notes.sizes() if size} | ({outside.head.size} if outside.head else set())
        earlier = resumption.load(state, number, notes) if state else None
        forest = Forest(sorted(wanted), *((earlier.start, earlier.above) if earlier else ()))
        entries, private = _entries(own, fetch, number, forest, progress, state)
        if earlier:
            entries.detail += " · " + earlier.sentence
        own.execute("SET LOCAL max_parallel_workers_per_gather TO DEFAULT")  # from here on our processes rest
        optional = [signatures.witnesses_step(fetch, number), signatures.timestamps_step(fetch, number)]
        steps = [
            announced,
            entries,
            private,
            _tiles(fetch, number, forest),
            signatures.checkpoints_step(notes, forest),
            signatures.signer_step(outside, forest),
            *([signatures.kept_step(notes, forest)] if heads else []),
            *(step for step in optional if step),
            completeness_step(fetch),
            _posture(fetch),
        ]
    verdict = Verdict(forest.size, forest.root(), tuple(steps), started, datetime.now(UTC), forest.start)
    if state:
        resumption.forget(state)
    return verdict


@contextmanager
def _snapshot() -> Iterator[Connection]:
    """A connection of the same role, read-only, in one snapshot: entries that arrive meanwhile change nothing."""
    with psycopg.connect(**_parameters(), application_name="audit-verify") as own:  # type: ignore[arg-type]
        own.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        own.read_only = True
        yield own


def _parameters() -> dict[str, object]:
    parameters = connection.get_connection_params()
    return {name: parameters[name] for name in ("dbname", "user", "password", "host", "port") if name in parameters}


def _entries(
    own: Connection, fetch: Fetch, number: int, forest: Forest, progress: Progress | None, state: Path | None
) -> tuple[Step, Step]:
    """Read every range; the steps about entries and about private values."""
    total, exported = fetch(
        "SELECT (SELECT coalesce(max(leaf_index) + 1, 0) FROM audit.leaf WHERE log_id = %s), pg_export_snapshot()",
        [number],
    )[0]
    prepare(own)
    setup = Setup(_parameters(), exported, number, str(getattr(settings, "SUBJECT_KEYS_DATABASE_URL", "")))
    tasks = [
        Task(low, min(low + RANGE, total), frozenset(size for size in forest.wanted if low < size < low + RANGE))
        for low in range(forest.start, total, RANGE)
    ]
    entries, private = Step("entries", ""), Step("private", "")
    results: list[RangeResult] = []
    if progress:
        progress(forest.start, total)
    for result in pool.results(own, setup, tasks, pool.processes(total - forest.start)):
        forest.take(result)
        results.append(result)
        for problem in result.problems:
            (private if problem[1].startswith("private.") else entries).find(sentence(problem))
        if progress:
            progress(forest.size, total)
        if state and not entries.findings and not private.findings:
            resumption.save(state, number, forest)
        if forest.size != result.end:
            break  # what follows a gap has other indexes: nothing more can be said of it
    _strays(fetch, number, forest, results, entries, private)
    entries.detail = _("%(n)s entries hashed and compared with what is shown of them") % {
        "n": f"{forest.size - forest.start:,}"
    }
    _describe_private(private, results)
    return entries, private


def _strays(
    fetch: Fetch, number: int, forest: Forest, results: Sequence[RangeResult], entries: Step, private: Step
) -> None:
    """Rows that belong to no entry. Counting is cheap, so they are looked for only when the counts differ."""
    shown, values = fetch(_COUNTS, [number, number])[0]
    unclear = forest.start > 0
    if unclear or shown != sum(result.shown for result in results):
        for (stray,) in fetch(_STRAY_EVENTS, [number]):
            entries.find(_("the list shows %(n)d entries that are not in the tree") % {"n": stray})
    if unclear or values != sum(result.private for result in results):
        for (stray,) in fetch(_STRAY_VALUES, [number]):
            private.find(_("%(n)d private values belong to no entry") % {"n": stray})


def _describe_private(step: Step, results: Sequence[RangeResult]) -> None:
    told = [
        _("%(n)s private values opened and compared with their commitments")
        % {"n": f"{sum(result.private - result.unreadable - result.destroyed for result in results):,}"}
    ]
    erased = [each for result in results for each in result.erased]
    if erased:
        by = sorted({str(index) if index is not None else "…" for _leaf, _name, index in erased})
        told.append(
            _("%(n)d values: committed, erased by entry %(entries)s")
            % {"n": len(erased), "entries": ", ".join(f"#{index}" for index in by[:5]) + (" …" if len(by) > 5 else "")}
        )
    if unreadable := sum(result.unreadable for result in results):
        step.unknown = True
        told.append(_("%(n)d values could not be opened: nobody answered for their keys") % {"n": unreadable})
    if destroyed := sum(result.destroyed for result in results):
        step.unknown = True
        told.append(_("%(n)d values cannot be opened: their key is gone, and no entry here says so") % {"n": destroyed})
    step.detail = " · ".join(told)


def _tiles(fetch: Fetch, number: int, forest: Forest) -> Step:
    """Level 0 was compared range by range; here follow the levels above it, and tiles that should not be there."""
    full = forest.size // TILE_WIDTH
    count = full - forest.start // TILE_WIDTH + len(forest.upper)
    step = Step("tiles", _("%(n)s full tiles computed and compared") % {"n": f"{count:,}"})
    words = {
        "differs": _("tile %(level)d/%(index)d does not fit the entries"),
        "extra": _("tile %(level)d/%(index)d does not belong to the log"),
        "missing": _("tile %(level)d/%(index)d is missing"),
    }
    stored = ((level, index, bytes(data), bytes(root)) for level, index, data, root in fetch(_UPPER, [number, full]))
    for kind, level, index in differences(forest, stored):
        step.find(words[kind] % {"level": level, "index": index})
    return step


def _posture(fetch: Fetch) -> Step:
    detail = _("roles, grants, triggers, functions and constraints are those of the manifest")
    return Step("posture", detail, posture.findings(fetch)[:MAX_FINDINGS])


def log_number(number: int | None) -> int:
    """The log to verify: the one given, else the one that is written to."""
    return number or log_id()
