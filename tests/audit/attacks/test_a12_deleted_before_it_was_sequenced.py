"""A12: an entry is deleted in the moment before it gets its index. The tree cannot miss what it never held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction

from audit import log
from audit.models import Event
from audit.posture import fetch
from audit.signer import Signer
from audit.verification.completeness import completeness_step
from registry.models import Environment
from registry.models.environments import Perimeter, Tier
from tests.audit.story import LAYLA, as_attacker, verdict
from tests.conftest import CommittedDatabase


def _environment(slug: str) -> Environment:
    """A governed row with its entry, in one transaction without savepoints, as a task or a command writes it."""
    with transaction.atomic():
        made = Environment(
            slug=slug,
            name=slug.title(),
            regions=["uae"],
            log_sinks=["uae"],
            perimeter=Perimeter.values[0],
            tier=Tier.values[0],
        )
        made.save(force_insert=True)
        log.append(Event.ENVIRONMENT_REGISTERED, made, by=LAYLA)
    return made


def _found(signer: Signer, words: str) -> list[str]:
    findings = [finding for finding in verdict(signer).findings if words in finding]
    assert completeness_step(fetch).findings
    return findings


@pytest.fixture
def two(committed_db: CommittedDatabase, sequence: Callable[[], None]) -> list[Environment]:
    """Two governed rows, recorded and signed."""
    made = [_environment("prod-uae"), _environment("dev")]
    sequence()
    assert completeness_step(fetch).findings == []
    return made


def test_a_row_whose_only_entry_is_gone_is_found(
    committed_db: CommittedDatabase, sequence: Callable[[], None], signer: Signer
) -> None:
    made = _environment("prod-uae")
    as_attacker(committed_db.admin_url, "DELETE FROM audit.entry", "DELETE FROM audit.payload")
    sequence()
    assert _found(signer, f"{made.object_key} exists without an entry")


def test_a_change_whose_entry_is_gone_is_found_when_its_transaction_wrote_another(
    committed_db: CommittedDatabase, two: list[Environment], sequence: Callable[[], None], signer: Signer
) -> None:
    with transaction.atomic():
        for row in two:
            Environment.objects.filter(pk=row.pk).update(name="Renamed")
            log.append(Event.ENVIRONMENT_CHANGED, row, by=LAYLA)
    entries = f"SELECT event_id FROM audit.entry WHERE object_key = '{two[0].object_key}' ORDER BY id DESC LIMIT 1"
    as_attacker(
        committed_db.admin_url,
        f"DELETE FROM audit.payload WHERE event_id IN ({entries})",
        f"DELETE FROM audit.entry WHERE event_id IN ({entries})",
    )
    sequence()
    assert _found(signer, f"{two[0].object_key} was changed by a transaction that recorded other rows only")


def test_a_row_that_vanished_without_an_entry_is_found(
    committed_db: CommittedDatabase, two: list[Environment], signer: Signer
) -> None:
    as_attacker(committed_db.admin_url, f"DELETE FROM registry_environment WHERE id = {two[0].pk}")
    assert _found(signer, f"{two[0].object_key} is gone and no entry removed it")


def test_a_row_that_came_back_after_its_removal_is_found(
    committed_db: CommittedDatabase, two: list[Environment], sequence: Callable[[], None], signer: Signer
) -> None:
    with transaction.atomic():
        log.append(Event.RECORD_REMOVED, two[0], by=LAYLA)
        Environment.objects.filter(pk=two[0].pk).delete()
    sequence()
    assert completeness_step(fetch).findings == []
    columns = ", ".join(field.column for field in Environment._meta.concrete_fields if not field.primary_key)
    as_attacker(
        committed_db.admin_url,
        f"INSERT INTO registry_environment (id, {columns}) OVERRIDING SYSTEM VALUE"
        f" SELECT {two[0].pk}, {columns.replace('slug', chr(39) + 'again' + chr(39))} FROM registry_environment",
    )
    assert _found(signer, f"{two[0].object_key} was removed by its newest entry and exists")


def test_rows_written_under_savepoints_or_twice_are_no_finding(two: list[Environment], sequence: Any) -> None:
    for _ in range(2):
        with transaction.atomic(), transaction.atomic():
            Environment.objects.filter(pk=two[0].pk).update(name="Nested")
            with transaction.atomic():
                log.append(Event.ENVIRONMENT_CHANGED, two[0], by=LAYLA)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM registry_environment")
    sequence()
    assert completeness_step(fetch).findings == []
