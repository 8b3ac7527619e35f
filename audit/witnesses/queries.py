"""What witnesses have said about the log: read by the pages, the health check, the verifier and the exports.

Cosignatures are verified when they are stored (``audit.witnesses.client``) and again by ``audit_verify``. Who counts is
decided by the policy of today: a witness that was struck from it no longer makes an entry «witnessed».
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection

from audit.merkle.policy import NONE, Policy
from audit.witnesses import configuration
from audit.witnesses.configuration import PolicyUnusable

_BATCH = 100
_COSIGNED = """
    SELECT c.size, c.root, array_agg(s.key_name), array_agg(s.key_id), array_agg(s.signed_at)
    FROM audit.cosignature s JOIN audit.checkpoint c USING (log_id, size)
    WHERE s.log_id = %s AND s.key_name = ANY(%s) AND {condition}
    GROUP BY c.log_id, c.size, c.root HAVING count(DISTINCT s.key_name) >= %s ORDER BY c.size {direction} LIMIT %s
"""
_STATES = """
    SELECT w.name, p.state, p.sentence, p.at, s.signed_at, s.size
    FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS w (name, key_name, key_id)
    LEFT JOIN LATERAL (SELECT state, sentence, at FROM audit.publication
        WHERE (log_id, kind, target) = (%s, 'witness', w.name) ORDER BY id DESC LIMIT 1) p ON true
    LEFT JOIN LATERAL (SELECT size, signed_at FROM audit.cosignature c
        WHERE (c.log_id, c.key_name, c.key_id) = (%s, w.key_name, w.key_id)
        ORDER BY size DESC, signed_at DESC LIMIT 1) s ON true
"""


@dataclass(frozen=True, slots=True)
class Witnessed:
    """A checkpoint that a quorum cosigned. ``at`` (UTC) is when the quorum was complete, by the witnesses' clocks.

    ``names`` are the policy's names of all who cosigned it.
    """

    size: int
    root: bytes
    at: datetime
    names: tuple[str, ...]

    @property
    def root_base64(self) -> str:
        """The root as the checkpoint's third line has it."""
        return base64.b64encode(self.root).decode()


@dataclass(frozen=True, slots=True)
class WitnessState:
    """One witness of the policy. ``state`` is working, unreachable, refused, invalid, conflict or untried.

    ``since`` is when it came into this state; ``signed_at`` and ``size`` are those of its newest cosignature. UTC.
    """

    name: str
    url: str
    state: str
    sentence: str
    since: datetime | None
    signed_at: datetime | None
    size: int


def policy() -> Policy | None:
    """The configured policy; None when there is none. Raises ``PolicyUnusable``."""
    return configuration.policy()


def newest_witnessed(log_id: int) -> Witnessed | None:
    """The newest checkpoint that a quorum cosigned. None when there is none, and without a usable policy."""
    return next(_witnessed(log_id, None), None)


def witnessed_at(log_id: int, index: int) -> Witnessed | None:
    """The first checkpoint over the entry with this index that a quorum cosigned; None as above."""
    return next(_witnessed(log_id, index), None)


def status(log_id: int) -> list[WitnessState]:
    """Every witness of the policy, in its order. One query; empty without a policy. Raises ``PolicyUnusable``."""
    chosen = policy()
    if chosen is None or not chosen.witnesses:
        return []
    names = list(chosen.witnesses)
    keys = [chosen.witnesses[name].vkey for name in names]
    columns = [names, [key.name for key in keys], [key.key_id for key in keys]]
    found = {row[0]: row[1:] for row in _fetch(_STATES, [*columns, log_id, log_id])}
    made = []
    for name in names:
        state, sentence, since, signed_at, size = found[name]
        made.append(
            WitnessState(
                name, chosen.witnesses[name].url, state or "untried", sentence or "", since, signed_at, size or 0
            )
        )
    return made


def lines(log_id: int, size: int) -> list[str]:
    """The newest cosignature of each witness on this checkpoint, as lines that go under the note. One query."""
    sql = """
        SELECT DISTINCT ON (key_name, key_id) line FROM audit.cosignature WHERE log_id = %s AND size = %s
        ORDER BY key_name, key_id, signed_at DESC
    """
    return [line for (line,) in _fetch(sql, [log_id, size])]


def _witnessed(log_id: int, index: int | None) -> Iterator[Witnessed]:
    """Witnessed checkpoints: over ``index`` from the oldest on, or from the newest back."""
    try:
        chosen = policy()
    except PolicyUnusable:
        return
    if chosen is None or chosen.quorum == NONE:
        return  # nobody is asked for: nothing is witnessed
    names = {(one.vkey.name, one.vkey.key_id): name for name, one in chosen.witnesses.items()}
    key_names = sorted({key_name for key_name, _key_id in names})
    condition, direction, edge = ("s.size > %s", "ASC", index) if index is not None else ("s.size < %s", "DESC", 2**62)
    needed = configuration.smallest_quorum(chosen)
    sql = _COSIGNED.format(condition=condition, direction=direction)
    while True:
        rows = _fetch(sql, [log_id, key_names, edge, needed, _BATCH])
        for size, root, *signed in rows:
            if made := _quorum(chosen, names, size, bytes(root), signed):
                yield made
        if len(rows) < _BATCH:
            return
        edge = rows[-1][0]


def _quorum(
    chosen: Policy, names: dict[tuple[str, bytes], str], size: int, root: bytes, signed: Sequence[Any]
) -> Witnessed | None:
    """Count the cosignatures in the order of their times until they are a quorum."""
    found = sorted(
        (at, names[key_name, bytes(key_id)])
        for key_name, key_id, at in zip(*signed, strict=True)
        if (key_name, bytes(key_id)) in names
    )
    seen: list[str] = []
    for at, name in found:
        seen.append(name)
        if chosen.satisfied(seen):
            return Witnessed(size, root, at, tuple(sorted({name for _at, name in found})))
    return None


def _fetch(sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    """Not ``audit.queries.fetch``: the log's writing side asks here too, and ``audit.queries`` builds on that."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows
