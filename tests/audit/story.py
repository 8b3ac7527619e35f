"""What the tests of the log share: an actor, a way to append, and the roles' own connections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg
from django.db import transaction

from audit import log
from audit.actors import Actor
from audit.models import Event
from audit.signer import Signing
from audit.verification import Verdict, verify_log
from tests.conftest import CommittedDatabase

LAYLA = Actor(id="user:00000000-0000-7000-8000-000000000001", name="Layla Haddad", roles=frozenset({"ml_lead"}))
TABLES = ("log", "key", "entry", "entry_1", "leaf", "tile", "checkpoint", "cosignature", "anchor", "payload", "event")
ORIGIN = "tests.example/log"
#: An entry by hand; its bytes are of no shape that we know.
INSERT = "INSERT INTO audit.entry (log_id, event_id, object_key, entry) VALUES (1, gen_random_uuid(), 'x/1', '{}')"
#: Leaves, different entries among them, and where the next index would be: three times the same number.
COUNTS = "SELECT count(*), count(DISTINCT entry_id), max(leaf_index) + 1 FROM audit.leaf"


def append(count: int = 1, subject: str = "model:credit-scoring", event: Event = Event.MODEL_CHANGED) -> None:
    """Commit so many entries."""
    with transaction.atomic():
        for number in range(count):
            log.append(event, subject, facts={"number": number}, reason=f"Reason {number}", by=LAYLA)


def execute(url: str, *statements: str, values: Sequence[Any] | None = None) -> list[tuple[Any, ...]]:
    """Run statements in one transaction over a connection of its own; rows of the last one."""
    with psycopg.connect(url) as connection:
        for statement in statements:
            cursor = connection.execute(statement, values if statement is statements[-1] else None)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description else []


def as_attacker(url: str, *statements: str) -> None:
    """Run statements as a superuser with every trigger switched off."""
    execute(url, "SET session_replication_role = replica", *statements)


def cut_off(own: CommittedDatabase, size: int) -> None:
    """Remove every trace of the entries from index ``size`` on: what a restored backup or a lossy failover leaves."""
    as_attacker(
        own.admin_url,
        f"DELETE FROM audit.checkpoint WHERE size > {size}",
        f"DELETE FROM audit.event WHERE leaf_index >= {size}",
        "DELETE FROM audit.payload p USING audit.entry e, audit.leaf l WHERE p.event_id = e.event_id"
        f" AND l.entry_id = e.id AND l.leaf_index >= {size}",
        f"DELETE FROM audit.entry e USING audit.leaf l WHERE l.entry_id = e.id AND l.leaf_index >= {size}",
        f"DELETE FROM audit.leaf WHERE leaf_index >= {size}",
        f"DELETE FROM audit.tile WHERE (idx + 1) * 256 > {size} AND level = 0",
    )


def verdict(signer: Signing | None, **options: Any) -> Verdict:
    """Verify the log of the test's database."""
    return verify_log(signer, **options)
