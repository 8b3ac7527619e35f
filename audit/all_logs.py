"""Verifying every log of the installation: each by itself, and each against what its successor says of it.

A detached log's entries are no longer in the live tables: it is named, and its export is what is verified. A log that
was given up after a loss is compared with what the next log's first entry says is left of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

from django.utils.translation import gettext as _

from audit import shards
from audit.merkle.checkpoint import Head, NoteInvalid, Vkey, parse
from audit.queries import fetch
from audit.shards import Shard
from audit.signer import SignerRefusal, SignerUnavailable, Signing
from audit.verification import Step, Verdict, verify_log

#: Entry 0 of every log that has one.
_FIRST = """
    SELECT l.log_id, convert_from(e.entry, 'UTF8') FROM audit.leaf l
    JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id) WHERE l.leaf_index = 0
"""
# The entry that says so may have been detached with a later log since: then the list still names it.
_DETACHED = """
    SELECT s.log_id, v.log_id, v.leaf_index, v.subject, convert_from(e.entry, 'UTF8') FROM audit.log_state s
    JOIN audit.event v ON v.event_id = s.event_id AND v.event = 'log.detached' AND v.log_id > s.log_id
    LEFT JOIN audit.entry e ON (e.log_id, e.event_id) = (v.log_id, v.event_id) WHERE s.kind = 'detached'
"""


@dataclass(frozen=True)
class LogResult:
    """One log. ``verdict`` is None for a log that was not read: detached, or not begun; ``step`` then says why."""

    number: int
    origin: str
    state: str
    step: Step
    verdict: Verdict | None = None

    @property
    def outcome(self) -> str:
        """``verified``, ``failed`` or ``unknown``."""
        own = {"passed": "verified"}.get(self.step.state, self.step.state)
        found = {own, self.verdict.outcome if self.verdict else "verified"}
        return next(each for each in ("failed", "unknown", "verified") if each in found)

    @property
    def findings(self) -> list[str]:
        """Every difference, the first one first."""
        return [*(self.verdict.findings if self.verdict else ()), *self.step.findings]


@dataclass(frozen=True)
class Survey:
    """Every log, the oldest first; ``several`` tells whether a finding must name its log."""

    results: tuple[LogResult, ...]
    several: bool
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def outcome(self) -> str:
        """The worst of all."""
        found = {result.outcome for result in self.results}
        return next(each for each in ("failed", "unknown", "verified") if each in found)

    @property
    def findings(self) -> list[str]:
        """Every difference, with the log that has it."""
        return [self.named(result, finding) for result in self.results for finding in result.findings]

    def named(self, result: LogResult, sentence: str) -> str:
        """``sentence`` with the name of its log where there are several."""
        return f"{result.origin}: {sentence}" if self.several else sentence

    @property
    def newest(self) -> LogResult:
        """The newest log that was read."""
        return next((each for each in reversed(self.results) if each.verdict is not None), self.results[-1])


class _Answer:
    """The part of ``Signing`` that a verification asks: a head and the keys, or why there is no answer."""

    def __init__(self, head: Head, vkeys: tuple[Vkey, ...], problem: Exception | None = None) -> None:
        self._head, self.vkeys, self._problem = head, vkeys, problem

    def head(self) -> tuple[Head, str]:
        """Raises what the signer raised."""
        if self._problem:
            raise self._problem
        return self._head, ""


def verify_all(
    signer: Signing | None,
    *,
    heads: Sequence[str] = (),
    vkeys: Sequence[Vkey] = (),
    only: int | None = None,
    progress: Callable[[int, int], None] | None = None,
    state: Path | None = None,
) -> Survey:
    """Verify every log that is not detached, or ``only`` the one with that number.

    ``heads`` and ``vkeys`` go to the log that they name, and to the newest when they name none that is known. See
    ``audit.verification.verify_log`` for the rest and for what it raises; ``LookupError`` for an unknown number.
    """
    started = datetime.now(UTC)
    known = shards.shards(fetch) or [Shard(1, "", started, 0, 0, (), None)]
    if only is not None and only not in {shard.log_id for shard in known}:
        raise LookupError(_("there is no log with the number %(number)d") % {"number": only})
    newest = _newest_read(known)
    first = {int(number): _facts(text) for number, text in fetch(_FIRST, [])}
    told = {int(row[0]): row[1:] for row in fetch(_DETACHED, [])}
    results: dict[int, LogResult] = {}
    for shard in known:
        if only is not None and shard.log_id != only:
            continue
        held = _of(signer, shard.origin)
        if shard.state == "detached":
            results[shard.log_id] = _detached(shard, told.get(shard.log_id))
        elif shard.state == "waiting" and shard.log_id > 1 and not shard.size:
            results[shard.log_id] = _waiting(shard, held)
        else:
            here = only is not None or shard.log_id == newest
            verdict = verify_log(
                _given_up(held, first.get(shard.log_id + 1, {})) if shard.state == "lost" else held,
                heads=[note for note in heads if _goes_to(_origin(note), shard, known, here)],
                vkeys=[vkey for vkey in vkeys if _goes_to(vkey.name, shard, known, here)],
                number=shard.log_id,
                progress=progress,
                state=_place(state, shard, newest=shard.log_id == newest),
            )
            results[shard.log_id] = LogResult(shard.log_id, shard.origin, shard.state, Step("log", ""), verdict)
    if only is None:
        _succession(known, results, first, told)
        _forgotten(signer, known, results[known[-1].log_id])
    return Survey(tuple(results.values()), len(known) > 1, started)


def _newest_read(known: Sequence[Shard]) -> int:
    readable = [shard.log_id for shard in known if shard.state not in ("detached", "waiting") or shard.log_id == 1]
    return readable[-1] if readable else known[-1].log_id


def _of(signer: Signing | None, origin: str) -> Signing | None:
    """What the signer remembers of the log called ``origin``."""
    try:
        return signer if signer is None or not origin or signer.origin == origin else signer.opened(origin)
    except (SignerUnavailable, SignerRefusal) as error:
        return cast("Signing", _Answer(Head(origin, 0, b""), (), error))


def _given_up(held: Signing | None, first: Mapping[str, Any]) -> Signing | None:
    """For a lost log the head that must be found: what was restored, if the signer's own head is the one stated."""
    if held is None:
        return None
    try:
        head, _note = held.head()
        stated = first["previous"]
        if not stated.get("lost") or (head.size, head.root.hex()) != (stated["size"], stated["root"]):
            return held
        left = Head(head.origin, int(stated["restored"]["size"]), bytes.fromhex(stated["restored"]["root"]))
        return cast("Signing", _Answer(left, held.vkeys))
    except (SignerUnavailable, SignerRefusal, KeyError, TypeError, ValueError, AttributeError):
        return held


def _detached(shard: Shard, told: Sequence[Any] | None) -> LogResult:
    step = Step("log", _("detached, verify its export"))
    if told is None or told[2] != f"log:{shard.origin}":
        step.find(_("it is marked as detached, and no numbered entry says so"))
    else:
        step.detail += " · " + _("as entry #%(index)d of log %(log)d says") % {"index": told[1], "log": told[0]}
    return LogResult(shard.log_id, shard.origin, shard.state, step)


def _waiting(shard: Shard, held: Signing | None) -> LogResult:
    """A log without any entry: right as long as the signer has signed nothing for it either."""
    step = Step("log", _("waits for its first entry"))
    try:
        if held is None:
            step.unknown = True
        elif size := held.head()[0].size:
            step.find(_("the signer has signed %(n)d entries, the log has none") % {"n": size})
    except (SignerUnavailable, SignerRefusal) as error:
        step.unknown, step.detail = True, str(error)
    return LogResult(shard.log_id, shard.origin, shard.state, step)


def _succession(
    known: Sequence[Shard],
    results: Mapping[int, LogResult],
    first: Mapping[int, Mapping[str, Any]],
    detached: Mapping[int, Sequence[Any]],
) -> None:
    """Logs follow one another without a gap, and the first entry of each names the final head of the one before."""
    for before, shard in pairwise(known):
        step = results[shard.log_id].step
        if shard.log_id != before.log_id + 1:
            step.find(_("the log with the number %(number)d is missing") % {"number": shard.log_id - 1})
        elif results[shard.log_id].verdict is not None:
            stated = first.get(shard.log_id, {}).get("previous")
            final = _final(results[before.log_id], detached.get(before.log_id))
            if not isinstance(stated, dict) or stated.get("origin") != before.origin:
                step.find(_("its first entry does not name the log before it, %(name)s") % {"name": before.origin})
            elif final and not _fits(stated, *final):
                step.find(_("its first entry names another end of %(name)s than was found") % {"name": before.origin})
    if known[0].log_id != 1:
        results[known[0].log_id].step.find(_("the log with the number %(number)d is missing") % {"number": 1})


def _final(result: LogResult, detached: Sequence[Any] | None) -> tuple[int, str] | None:
    """Size and root where the log ends; None when the live tables do not say it."""
    if result.verdict is not None:
        return result.verdict.size, result.verdict.root.hex()
    facts = _facts(detached[3]) if detached and detached[3] else {}
    return (facts["size"], facts["root"]) if {"size", "root"} <= facts.keys() else None


def _fits(stated: Mapping[str, Any], size: int, root: str) -> bool:
    left = stated.get("restored") if stated.get("lost") else None
    wanted = left if isinstance(left, dict) else stated
    # A log that was given up and then detached was exported with all that was signed.
    return (size, root) in ((wanted.get("size"), wanted.get("root")), (stated.get("size"), stated.get("root")))


def _forgotten(signer: Signing | None, known: Sequence[Shard], newest: LogResult) -> None:
    """A log that the signer has signed and the database does not know: an older database was put back."""
    try:
        if signer is None or not known[-1].origin or signer.origin in {shard.origin for shard in known}:
            return
        head, _note = signer.head()
    except (SignerUnavailable, SignerRefusal):
        return  # each log's own step says that the signer could not be asked
    if head.size:
        newest.step.find(
            _("the signer has signed %(n)d entries of the log %(name)s, which the database does not have")
            % {"n": head.size, "name": head.origin}
        )


def _goes_to(origin: str, shard: Shard, known: Sequence[Shard], otherwise: bool) -> bool:
    if origin in {each.origin for each in known}:
        return origin == shard.origin
    return otherwise


def _origin(note: str) -> str:
    try:
        return parse(note).head.origin
    except NoteInvalid:
        return ""


def _place(state: Path | None, shard: Shard, *, newest: bool) -> Path | None:
    return state if state is None or newest else state.with_name(f"{state.name}.{shard.log_id}")


def _facts(text: str) -> dict[str, Any]:
    try:
        facts = json.loads(text)["facts"]
        return facts if isinstance(facts, dict) else {}
    except (ValueError, KeyError, TypeError):
        return {}
