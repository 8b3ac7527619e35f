"""Appending to the log and moving a lifecycle, as every change does."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from django.db import connection

from audit import context, log, queries
from audit.actors import Actor
from audit.merkle import canonical
from audit.models import Event
from audit.payloads import COLUMNS, Sealed, reveal
from audit.refusals import BadInput
from tests.audit.story import LAYLA

pytestmark = pytest.mark.django_db


def _stored() -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry FROM audit.entry ORDER BY id DESC LIMIT 1")
        return canonical.decode(bytes(cursor.fetchone()[0]))


def test_an_entry_holds_commitments_and_no_personal_data() -> None:
    receipt = log.append(
        Event.MODEL_REGISTERED,
        "model:credit-scoring",
        facts={"auc": "0.871"},
        private={"contact": "Sami Aziz"},
        reason="Because",
        by=LAYLA,
    )
    entry = _stored()
    assert "Layla" not in str(entry)
    assert "Sami" not in str(entry)
    assert "Because" not in str(entry)
    assert set(entry["commit"]) == {"actor.name", "contact", "reason"}
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {COLUMNS} FROM audit.payload p WHERE event_id = %s", [receipt.event_id])
        stored = [Sealed(*row) for row in cursor.fetchall()]
    values = dict(zip((row.field for row in stored), reveal(stored), strict=True))
    assert {field: value.text for field, value in values.items()} == {
        "actor.name": "Layla Haddad",
        "contact": "Sami Aziz",
        "reason": "Because",
    }
    for field, value in values.items():
        assert value.data is not None
        assert entry["commit"][field] == hashlib.sha256(value.salt + value.data).hexdigest()
    assert b"Layla" not in b"".join(bytes(row.body) for row in stored)


def test_the_same_text_typed_in_two_unicode_forms_is_one_record() -> None:
    log.append(Event.MODEL_CHANGED, "model:cafe\u0301", facts={"note": "e\u0301"}, reason="re\u0301", by=LAYLA)
    assert _stored()["facts"] == {"note": "\u00e9"}
    assert [row.reason for row in queries.history("model:caf\u00e9")] == ["r\u00e9"]


def test_the_request_that_caused_it_is_recorded() -> None:
    token = context.request_id.set("req-7")
    log.append(Event.MODEL_CHANGED, "model:x", by=Actor.system("import"))
    context.request_id.reset(token)
    assert queries.search(queries.Filters(request_id="req-7")).rows[0].actor_name == "import"


@pytest.mark.parametrize(
    ("subject", "facts", "reason"),
    [
        ("model:x", {"share": 0.5}, ""),
        ("model:x", {"size": 2**53}, ""),
        ("model:x", {"text": "a\0b"}, ""),
        ("model:x", {"when": object()}, ""),
        ("model:x", {}, "a\0b"),
        ("model:x", {}, "\ud800"),
        ("model", {}, ""),
        (":x", {}, ""),
        ("model:" + "x" * 400, {}, ""),
    ],
)
def test_what_cannot_be_recorded_is_refused_with_a_sentence(subject: str, facts: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInput):
        log.append(Event.MODEL_CHANGED, subject, facts=facts, reason=reason, by=LAYLA)


def test_an_unknown_event_or_a_missing_actor_is_refused() -> None:
    with pytest.raises(ValueError, match="coffee"):
        log.append("coffee.made", "model:x", by=LAYLA)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        log.append(Event.MODEL_CHANGED, "model:x", by=None)  # type: ignore[arg-type]


def test_event_ids_are_uuids_of_version_7_and_differ() -> None:
    made = [log.new_event_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert {(one.version, one.variant) for one in made} == {(7, "specified in RFC 4122")}
