"""A signed log of 600 entries to attack: made once, copied for each test together with the state of its signer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from django.db import transaction

from audit import log
from audit.actors import Actor
from audit.merkle.tree import EMPTY_ROOT, GrowingTree, leaf_hash
from audit.models import Event
from audit.signer import Signer
from audit.verification import Verdict, verify_log
from tests.audit.story import as_attacker, execute
from tests.conftest import CommittedDatabase

#: Nobody erases his key: other tests share the database of the keys.
KARIM = Actor(id="user:00000000-0000-7000-8000-0000000ca21b", name="Karim Aziz", roles=frozenset({"ml_lead"}))
BATCHES = (10, 290, 298)


def append(count: int) -> None:
    """Commit so many entries, each with a reason and a name."""
    with transaction.atomic():
        for number in range(count):
            log.append(Event.MODEL_CHANGED, "model:credit", facts={"number": number}, reason=f"Why {number}", by=KARIM)


@dataclass(frozen=True)
class SealedLog:
    """The database and the signer of one test."""

    database: CommittedDatabase
    signer: Signer

    def attack(self, *statements: str) -> None:
        """As a superuser with every trigger and foreign key switched off."""
        as_attacker(self.database.admin_url, *statements)

    def alter(self, *statements: str) -> None:
        """As a superuser who changes the schema first."""
        execute(self.database.admin_url, *statements)

    def read(self, statement: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
        """Rows."""
        return execute(self.database.admin_url, statement, values=values)

    def verify(self, *, signer: bool = True, **options: Any) -> Verdict:
        """The verdict, with or without what the signer remembers."""
        return verify_log(self.signer if signer else None, **options)

    def note(self, size: int = 600) -> str:
        """A checkpoint as somebody keeps it elsewhere."""
        return str(self.read("SELECT note FROM audit.checkpoint WHERE size = %s", [size])[0][0])

    def rewrite(self, old: bytes, new: bytes, signatures: dict[int, str] | None = None) -> None:
        """Rewrite history from the first entry that holds ``old``: entries, leaves, tiles, roots and checkpoints.

        ``signatures`` are notes by size of whoever has the keys; without them the old notes stay.
        """
        rows = self.read(
            "SELECT l.leaf_index, e.id, e.entry FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry_id"
            " ORDER BY l.leaf_index"
        )
        tree, roots = GrowingTree(), {0: EMPTY_ROOT}
        with psycopg.connect(self.database.admin_url) as connection:
            connection.execute("SET session_replication_role = replica")
            for index, entry_id, data in rows:
                forged = data.replace(old, new)
                if forged != data:
                    connection.execute("UPDATE audit.entry SET entry = %s WHERE id = %s", [forged, entry_id])
                    values = [leaf_hash(forged), index]
                    connection.execute("UPDATE audit.leaf SET leaf_hash = %s WHERE leaf_index = %s", values)
                for tile in tree.append(leaf_hash(forged)):
                    connection.execute(
                        "UPDATE audit.tile SET hashes = %s, root = %s WHERE level = %s AND idx = %s",
                        [tile.hashes, tile.root, tile.level, tile.index],
                    )
                roots[tree.size] = tree.root()
            for (size,) in connection.execute("SELECT size FROM audit.checkpoint").fetchall():
                note = (signatures or {}).get(size)
                connection.execute(
                    "UPDATE audit.checkpoint SET root = %s, note = coalesce(%s, note) WHERE size = %s",
                    [roots[size], note, size],
                )

    def roots_after(self, old: bytes, new: bytes) -> dict[int, bytes]:
        """The root of each checkpoint's size in the rewritten history."""
        tree, roots = GrowingTree(), {}
        for (data,) in self.read(
            "SELECT e.entry FROM audit.leaf l JOIN audit.entry e ON e.id = l.entry_id ORDER BY l.leaf_index"
        ):
            tree.append(leaf_hash(data.replace(old, new)))
            roots[tree.size] = tree.root()
        return {size: roots[size] for (size,) in self.read("SELECT size FROM audit.checkpoint")}
