"""The sequencer and the signer over committed entries."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import transaction

from audit import log, queries
from audit.actors import Actor
from audit.models import Event

LAYLA = Actor(id="user:00000000-0000-7000-8000-000000000001", name="Layla Haddad", roles=frozenset({"ml_lead"}))


@pytest.mark.usefixtures("committed_db")
def test_an_entry_is_shown_as_being_sequenced_until_it_has_its_index(sequence: Callable[[], None]) -> None:
    with transaction.atomic():
        receipt = log.append(Event.MODEL_REGISTERED, "model:credit-scoring", reason="First", by=LAYLA)
    before = queries.entry_by_event_id(receipt.event_id)
    assert before is not None
    assert before.index is None
    sequence()
    after = queries.entry_by_event_id(receipt.event_id)
    assert after is not None
    assert after.index == 2
    assert (after.actor_name, after.reason, after.subject) == ("Layla Haddad", "First", "model:credit-scoring")
    assert [row.event for row in queries.search().rows] == ["model.registered", "key.announced", "log.opened"]
