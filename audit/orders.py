"""What the sequencer does because an entry orders it: new keys, retired keys, the end of a log.

The order takes effect in the transaction that gives its entry a place in the tree. An entry alone orders nothing: the
web server's role could write one by hand. Keys must be those that the signer holds, and a retirement must leave a
whole set of keys after the overlap; whatever else it says, the entry keeps its place and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings

from audit.keyring import Keyring, keyring
from audit.merkle.checkpoint import LOG_ALGORITHMS, Head
from audit.models.events import Event
from audit.projection import project
from audit.signer import Signing
from audit.signer_protocol import is_origin
from audit.stored_tree import Fetch

ORDERS = frozenset({Event.KEY_ROTATED.value, Event.KEY_RETIRED.value, Event.LOG_CLOSING.value})

logger = logging.getLogger(__name__)

_ANNOUNCE = """
    WITH new AS (INSERT INTO audit.key (log_id, vkey, from_size, event_id)
                 SELECT %s, vkey, %s, %s FROM unnest(%s::text[]) AS vkey RETURNING 1) SELECT count(*) FROM new
"""
_END = """
    WITH new AS (INSERT INTO audit.key_end (log_id, vkey, to_size, event_id)
                 SELECT %s, vkey, %s, %s FROM unnest(%s::text[]) AS vkey RETURNING 1) SELECT count(*) FROM new
"""
_CLOSING = """
    SELECT e.entry, e.object_key FROM audit.event v
    JOIN audit.leaf l ON (l.log_id, l.leaf_index) = (v.log_id, v.leaf_index)
    JOIN audit.entry e ON (e.log_id, e.id) = (l.log_id, l.entry_id)
    WHERE v.log_id = %s AND v.event = 'log.closing' ORDER BY v.leaf_index
"""


@dataclass(frozen=True, slots=True)
class Order:
    """An entry that orders something, with the index that it has just got."""

    index: int
    event_id: UUID
    event: str
    facts: Mapping[str, Any]
    recorded_at: datetime


def carry_out(fetch: Fetch, signer: Signing, log_id: int, order: Order) -> None:
    """Do what the order says, or say in the server's log why not. ``fetch`` runs in the sequencing transaction."""
    act = {Event.KEY_ROTATED: _rotate, Event.KEY_RETIRED: _retire, Event.LOG_CLOSING: _begin_successor}
    problem = act[Event(order.event)](fetch, signer, log_id, order)
    if problem:
        logger.error("entry %d of log %d orders %s in vain: %s", order.index, log_id, order.event, problem)


def destroy_ended(fetch: Fetch, signer: Signing, log_id: int, signed: int) -> None:
    """Have the signer destroy the private halves of keys that sign no tree as large as the one of ``signed`` leaves."""
    ended = [key for key in keyring(fetch, log_id).keys if key.to_size is not None and key.to_size < signed]
    held = set(signer.vkeys)
    if left := [str(key.vkey) for key in ended if key.vkey in held]:
        signer.retire(left)


def closing_facts(fetch: Fetch, log_id: int, successor: str) -> Mapping[str, Any]:
    """What the order said that closed the log in favour of ``successor``; empty when there is none."""
    for data, object_key in fetch(_CLOSING, [log_id]):
        facts = project(bytes(data), object_key).facts
        if facts.get("successor") == successor:
            return facts
    return {}


def told_head(head: Head, note: str) -> dict[str, Any]:
    """A signed head as the facts of an entry hold it."""
    return {"origin": head.origin, "size": head.size, "root": head.root.hex(), "note": note}


def may_retire(ring: Keyring, named: set[str], at: datetime) -> str:
    """Why these keys may not end at this moment; empty: they may."""
    going = [key for key in ring.keys if key.to_size is None and str(key.vkey) in named]
    staying = [key for key in ring.keys if key.to_size is None and str(key.vkey) not in named]
    if not named or len(going) != len(named):
        return "they are not keys in use"
    if {key.vkey.algorithm for key in staying} != LOG_ALGORITHMS:
        return "no whole set of keys would remain"
    if max(key.from_size for key in going) >= min(key.from_size for key in staying):
        return "the newer keys cannot be retired"
    due = max(key.created_at for key in staying) + timedelta(days=settings.KEY_OVERLAP_DAYS)
    return "" if at >= due else f"both sets of keys sign until {due:%Y-%m-%d %H:%M} UTC"


def _rotate(fetch: Fetch, signer: Signing, log_id: int, order: Order) -> str:
    signer.head()  # the signer may have made the keys a moment ago, at the command's request
    ring, named = keyring(fetch, log_id), order.facts.get("new")
    fresh = [str(vkey) for vkey in signer.vkeys if vkey not in ring]
    if not isinstance(named, list) or not fresh or sorted(map(str, named)) != sorted(fresh):
        return "the keys are not those that the signer has made"
    fetch(_ANNOUNCE, [log_id, order.index + 1, order.event_id, fresh])
    return ""


def _retire(fetch: Fetch, signer: Signing, log_id: int, order: Order) -> str:
    ring, named = keyring(fetch, log_id), order.facts.get("vkeys")
    if not isinstance(named, list):
        return "it names no keys"
    if problem := may_retire(ring, set(map(str, named)), order.recorded_at):
        return problem
    fetch(_END, [log_id, order.index, order.event_id, sorted(map(str, named))])
    return ""


def _begin_successor(fetch: Fetch, signer: Signing, log_id: int, order: Order) -> str:
    successor = str(order.facts.get("successor", ""))
    if order.facts.get("log") != signer.origin:
        return "it is about another log"
    if not is_origin(successor) or fetch("SELECT FROM audit.log WHERE origin = %s", [successor]):
        return "the successor's name is malformed or taken"
    if fetch("SELECT FROM audit.log WHERE log_id > %s", [log_id]):
        return "the log has a successor already"
    signer.opened(successor)
    fetch("SELECT audit.add_log(%s, %s)", [log_id + 1, successor])
    return ""
