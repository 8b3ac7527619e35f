"""Which keys sign checkpoints of which sizes: announced when the log opens, joined at a rotation, ended when retired.

A key is valid for the sizes ``[from_size, to_size]``. Both ends follow from the index of the entry that says so: a
rotation at index n is valid from size n + 1 on, the first tree that holds it; a retirement at index n ends with size n.
So a checkpoint shows by its size alone which signatures it needs, and old checkpoints verify for ever.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from audit.merkle.checkpoint import NoteInvalid, Vkey
from audit.models.events import Event
from audit.projection import project
from audit.stored_tree import Fetch

#: What a checkpoint of a later size than the rotation's needs beside the old keys, for so many days.
OVERLAP_DAYS = 30

_KEYS = """
    SELECT k.vkey, k.from_size, e.to_size, k.event_id, e.event_id, k.created_at FROM audit.key k
    LEFT JOIN audit.key_end e ON (e.log_id, e.vkey) = (k.log_id, k.vkey)
    WHERE k.log_id = %s ORDER BY k.from_size, length(k.vkey), k.vkey
"""
_SOURCES = """
    SELECT e.event_id, l.leaf_index, e.entry, e.object_key FROM audit.entry e
    JOIN audit.leaf l ON (l.log_id, l.entry_id) = (e.log_id, e.id)
    WHERE e.log_id = %s AND e.event_id = ANY(%s)
"""


@dataclass(frozen=True, slots=True)
class Key:
    """One public key; ``to_size`` None: not ended. The entries that announced and ended it are named by event id."""

    vkey: Vkey
    from_size: int
    to_size: int | None
    announced_by: UUID
    ended_by: UUID | None
    created_at: datetime

    def signs(self, size: int) -> bool:
        """Whether a checkpoint of this size needs the key's signature."""
        return self.from_size <= size and (self.to_size is None or size <= self.to_size)


@dataclass(frozen=True)
class Keyring:
    """All keys of one log, the oldest first and Ed25519 before ML-DSA-44. ``unreadable``: one sentence for each row."""

    keys: tuple[Key, ...]
    unreadable: tuple[str, ...] = ()

    def valid_at(self, size: int) -> list[Vkey]:
        """The keys whose signatures a checkpoint of ``size`` leaves must carry, every one of them."""
        return [key.vkey for key in self.keys if key.signs(size)]

    def valid(self) -> list[Vkey]:
        """The keys that have not ended."""
        return [key.vkey for key in self.keys if key.to_size is None]

    def __contains__(self, vkey: object) -> bool:
        return any(key.vkey == vkey for key in self.keys)


def keyring(fetch: Fetch, log_id: int) -> Keyring:
    """The keys of a log as its tables hold them. One query."""
    keys: list[Key] = []
    unreadable: list[str] = []
    for text, *rest in fetch(_KEYS, [log_id]):
        try:
            keys.append(Key(Vkey.parse(text), *rest))
        except NoteInvalid as error:
            unreadable.append(f"{text[:80]}: {error}")
    return Keyring(tuple(keys), tuple(unreadable))


def problems(fetch: Fetch, log_id: int) -> Iterator[str]:
    """One sentence for each key whose validity is not what an entry of the log says. Two queries."""
    ring = keyring(fetch, log_id)
    yield from ring.unreadable
    wanted = [event for key in ring.keys for event in (key.announced_by, key.ended_by) if event]
    sources = {event_id: rest for event_id, *rest in fetch(_SOURCES, [log_id, wanted])}
    for key in ring.keys:
        name = f"{key.vkey.algorithm_name} key {key.vkey.key_id.hex()}"
        if not _says(sources.get(key.announced_by), key, key.from_size, starting=True):
            yield f"no entry announces the {name} from size {key.from_size} on"
        if key.ended_by and not _says(sources.get(key.ended_by), key, key.to_size or 0, starting=False):
            yield f"no entry ends the {name} with size {key.to_size}"


def _says(source: list[Any] | None, key: Key, size: int, *, starting: bool) -> bool:
    if source is None:
        return False
    index, data, object_key = source
    told = project(bytes(data), object_key)
    if starting and size == 0:
        return told.event == Event.KEY_ANNOUNCED and str(key.vkey) in told.facts.get("vkeys", ())
    if starting:
        return told.event == Event.KEY_ROTATED and str(key.vkey) in told.facts.get("new", ()) and size == index + 1
    return told.event == Event.KEY_RETIRED and str(key.vkey) in told.facts.get("vkeys", ()) and size == index
