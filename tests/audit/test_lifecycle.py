"""A lifecycle moves a row only along its transitions, with the entry in the same transaction."""

from __future__ import annotations

import pytest
from django.db import models, transaction

from audit import queries
from audit.governance_of_tables import governed
from audit.lifecycle import Lifecycle
from audit.models import Event, Governed
from audit.refusals import Conflict
from config.stack import database
from tests.audit.story import LAYLA, execute
from tests.conftest import CommittedDatabase

FLOW = Lifecycle(
    "state",
    {("draft", "in_review"): Event.PROMOTION_IN_REVIEW, ("in_review", "approved"): Event.PROMOTION_APPROVED},
)


class Request(Governed):
    """A governed row with a state."""

    state = models.TextField(default="draft")
    note = models.TextField(default="")

    class Meta:
        app_label = "tests"
        managed = False
        db_table = "tests_request"

    def __str__(self) -> str:
        return self.state

    @property
    def subject(self) -> str:
        return f"promotion:{self.pk}"


@pytest.fixture
def row(committed_db: CommittedDatabase) -> Request:
    """A request in the state draft."""
    operation = governed("tests_request")
    assert isinstance(operation.sql, str)
    execute(
        committed_db.url(database.OWNER),
        "CREATE TABLE tests_request (id bigint PRIMARY KEY, state text NOT NULL, note text NOT NULL)",
        "INSERT INTO tests_request VALUES (1, 'draft', '')",
        operation.sql,
    )
    return Request.objects.get()


def test_a_transition_saves_the_state_and_its_changes_and_is_recorded(row: Request) -> None:
    with transaction.atomic():
        FLOW.transition(row, "in_review", changes={"note": "ready"}, reason="Ready", by=LAYLA)
    stored = Request.objects.get()
    assert (stored.state, stored.note, row.state, row.note) == ("in_review", "ready", "in_review", "ready")
    entry = queries.history("promotion:1")[0]
    assert (entry.event, entry.facts, entry.reason) == (
        "promotion.in_review",
        {"from": "draft", "to": "in_review"},
        "Ready",
    )


def test_the_stored_state_decides_and_not_the_one_in_memory(row: Request) -> None:
    stale = Request.objects.get()
    with transaction.atomic():
        FLOW.transition(row, "in_review", by=LAYLA)
    with pytest.raises(Conflict) as caught, transaction.atomic():
        FLOW.transition(stale, "in_review", by=LAYLA)
    assert caught.value.code == "request.state"
    assert len(queries.history("promotion:1")) == 1


def test_a_state_that_no_transition_leads_to_is_a_conflict(row: Request) -> None:
    with pytest.raises(Conflict), transaction.atomic():
        FLOW.transition(row, "approved", by=LAYLA)
    assert Request.objects.get().state == "draft"
    assert FLOW.targets("draft") == {"in_review"}


def test_a_transition_outside_a_transaction_is_refused(row: Request) -> None:
    with pytest.raises(RuntimeError, match="atomic"):
        FLOW.transition(row, "in_review", by=LAYLA)
