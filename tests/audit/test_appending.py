"""Appending to the log, as every change does."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from audit import log
from audit.actors import Actor
from audit.models import Event
from audit.refusals import BadInput

LAYLA = Actor(id="user:00000000-0000-7000-8000-000000000001", name="Layla Haddad", roles=frozenset({"ml_lead"}))


@pytest.mark.django_db
def test_an_entry_holds_commitments_and_no_personal_data() -> None:
    log.append(Event.MODEL_REGISTERED, "model:credit-scoring", facts={"auc": "0.871"}, reason="Because", by=LAYLA)
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry FROM audit.entry")
        data = bytes(cursor.fetchone()[0])
    assert b"Layla" not in data
    assert b"Because" not in data
