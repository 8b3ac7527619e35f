"""Evidence for a version: recorded for its digest, withdrawn with a reason, never changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotKnown
from governance import evidence
from governance.models.evidence import SAYS, Evidence, EvidenceType
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]
DIGEST = scene.digest_of("the report")


def paper(**change: Any) -> evidence.Paper:
    """A report that was made yesterday and holds for a year."""
    now = timezone.now().replace(microsecond=0)
    made = evidence.Paper(
        DIGEST, "Hold-out of the third quarter", "Model validation", now - timedelta(days=1), now + timedelta(days=365)
    )
    return replace(made, **change)


def record(bank: Bank, type: str = "validation_report", *, by: str = "layla", **change: Any) -> Evidence:
    """Layla records it for the candidate."""
    return evidence.record(type, bank.new, paper(**change), by=scene.actor(by))


def test_evidence_is_recorded_for_the_files_that_the_registry_knows(bank: Bank) -> None:
    row = record(bank)
    row.refresh_from_db()
    assert row.reference.startswith(f"EV-{timezone.now():%Y}-")
    assert (row.artifact_digest, row.digest, row.state) == (bank.new.digest, DIGEST, "active")
    assert row.issued_by == scene.actor("layla").id
    entry = log.history(row.subject)[0]
    assert entry.event == "evidence.recorded"
    assert entry.facts["version"] == bank.new.subject
    assert entry.facts["artifact_digest"] == bank.new.digest
    assert not {"author", "title"} & set(entry.facts), "names belong into the erasable part"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"digest": "sha256:ABC"}, "digest"),
        ({"title": "  "}, "title"),
        ({"author": ""}, "author"),
        ({"author": "x" * 201}, "author"),
        ({"issued_at": timezone.now() + timedelta(days=1)}, "issued_at"),
        ({"issued_at": datetime(2026, 1, 1)}, "issued_at"),
        ({"expires_at": datetime(2099, 1, 1)}, "expires_at"),
        ({"expires_at": timezone.now() - timedelta(seconds=1)}, "expires_at"),
    ],
)
def test_what_is_malformed_is_refused_at_its_field(bank: Bank, change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        record(bank, **change)
    assert field in refusal.value.fields
    assert not Evidence.objects.exists()


def test_an_unknown_type_and_a_report_about_other_files_are_refused(bank: Bank) -> None:
    with pytest.raises(BadInput) as refusal:
        record(bank, "vibes")
    assert "validation_report" in refusal.value.fields["type"]
    with pytest.raises(Conflict) as other:
        evidence.record("fairness", bank.new, paper(), made_for=bank.old.digest, by=scene.actor("layla"))
    assert other.value.code == "evidence.another_digest"
    assert bank.new.digest in other.value.sentence
    evidence.record("fairness", bank.new, paper(), made_for=bank.new.digest, by=scene.actor("layla"))


@pytest.mark.parametrize("type", EvidenceType.values)
def test_every_type_can_be_recorded_and_has_a_sentence(bank: Bank, type: str) -> None:
    assert record(bank, type).says.endswith(".")
    assert {str(kind) for kind in SAYS} == set(EvidenceType.values)


def test_evidence_is_withdrawn_once_with_a_reason_and_what_serves_is_decided_again(
    bank: Bank, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    row, ordered = record(bank), list[str]()
    monkeypatch.setattr("governance.following.order", ordered.append)
    with pytest.raises(BadInput):
        evidence.withdraw(row.reference, reason=" ", by=scene.actor("omar"))
    with django_capture_on_commit_callbacks(execute=True):
        gone = evidence.withdraw(row.reference, reason="The sample was wrong.", by=scene.actor("omar"))
    assert ordered == ["governance.recheck_what_serves"]
    assert (gone.state, gone.withdrawn_by) == ("withdrawn", scene.actor("omar").id)
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.reason) == ("evidence.withdrawn", "The sample was wrong.")
    with pytest.raises(Conflict):
        evidence.withdraw(row.reference, reason="Again.", by=scene.actor("omar"))
    with pytest.raises(NotKnown):
        evidence.withdraw("EV-2026-9999", reason="x", by=scene.actor("omar"))


def test_a_piece_says_in_words_why_it_is_stale(bank: Bank) -> None:
    row, now = record(bank), timezone.now()
    assert evidence.why_stale(row, at=now) == []
    assert row.expires_at is not None
    assert evidence.why_stale(row, at=row.expires_at) == ["expired"]
    row.artifact_digest = bank.old.digest
    assert evidence.why_stale(row, at=now) == ["made for another digest"]
    row = evidence.withdraw(row.reference, reason="Wrong.", by=scene.actor("omar"))
    assert evidence.why_stale(row, at=now) == ["withdrawn"]


@pytest.mark.parametrize(
    "change",
    [
        {"digest": scene.digest_of("another")},
        {"artifact_digest": scene.digest_of("another")},
        {"expires_at": None},
        {"type": "fairness"},
        {"issued_by": "user:x"},
        {"state": "withdrawn"},
        {"state": "lapsed"},
        {"withdrawn_reason": "x"},
    ],
)
def test_the_database_keeps_what_was_recorded(bank: Bank, change: dict[str, Any]) -> None:
    record(bank)
    with pytest.raises(DatabaseError), transaction.atomic():
        Evidence.objects.update(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"type": "vibes"},
        {"digest": "sha256:short"},
        {"artifact_digest": ""},
        {"issued_at": datetime.fromisoformat("2999-01-01T00:00:00Z")},
        {"expires_at": datetime.fromisoformat("2001-01-01T00:00:00Z")},
        {"author": ""},
        {"issued_by": ""},
        {"state": "withdrawn"},
        {"withdrawn_by": "user:x"},
    ],
)
def test_the_database_refuses_a_row_that_no_function_would_write(bank: Bank, change: dict[str, Any]) -> None:
    row = record(bank)
    row.pk, row.reference = None, "EV-X"
    for name, value in change.items():
        setattr(row, name, value)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.save(force_insert=True)


def body(bank: Bank, **change: Any) -> dict[str, Any]:
    return {
        "type": "fairness",
        "version": bank.new.subject,
        "digest": DIGEST,
        "title": "Groups by age",
        "author": "Model validation",
        "issued_at": "2026-01-01T00:00:00Z",
        "expires_at": "2099-01-01T00:00:00Z",
        **change,
    }


def _post(client: Client, address: str, sent: object) -> Any:
    return client.post(address, sent, content_type="application/json")


def test_the_api_records_lists_shows_and_withdraws(bank: Bank, api_for: Api) -> None:
    made = _post(api_for("dana"), "/api/v1/evidence", body(bank, environment="prod-uae"))
    assert made.status_code == 201, made.content
    reference = made.json()["reference"]
    assert made["Location"] == f"/api/v1/evidence/{reference}"
    record(bank)
    noor = api_for("noor")
    one = noor.get(f"/api/v1/evidence/{reference}").json()
    assert (one["artifact_digest"], one["environment"], one["stale"]) == (bank.new.digest, "prod-uae", [])

    def found(query: str) -> list[str]:
        return [each["type"] for each in noor.get(f"/api/v1/evidence?{query}").json()["results"]]

    assert found("") == ["validation_report", "fairness"]
    assert found("type=fairness") == found(f"version={bank.new.subject}&environment=prod-uae")[1:] == ["fairness"]
    assert found("environment=staging") == ["validation_report"], "what is for every environment is for that one too"
    assert found(f"version={bank.old.subject}") == []
    for wrong in ("type=vibes", "version=version:none/1", "environment=nowhere", "typ=fairness"):
        assert noor.get(f"/api/v1/evidence?{wrong}").status_code == 400, wrong
    gone = _post(api_for("dana"), f"/api/v1/evidence/{reference}/withdraw", {"reason": "Wrong groups."}).json()
    assert (gone["state"], gone["stale"], gone["withdrawn_reason"]) == ("withdrawn", ["withdrawn"], "Wrong groups.")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"type": "vibes"}, 400),
        ({"version": "version:credit-scoring/99"}, 404),
        ({"version": "credit-scoring/14"}, 404),
        ({"environment": "nowhere"}, 404),
        ({"digest": "sha256:x"}, 400),
        ({"issued_at": "2026-01-01T00:00:00"}, 400),
        ({"issued_at": "2999-01-01T00:00:00Z"}, 400),
        ({"expires_at": "2001-01-01T00:00:00Z"}, 400),
        ({"artifact_digest": scene.digest_of("another")}, 409),
        ({"document": "report.pdf"}, 400),
        ({"title": ["a"]}, 400),
        ({"author": "\u0000"}, 400),
    ],
)
def test_the_api_refuses_what_is_wrong_with_a_sentence(
    bank: Bank, api_for: Api, change: dict[str, Any], status: int
) -> None:
    refused = _post(api_for("dana"), "/api/v1/evidence", body(bank, **change))
    assert refused.status_code == status, refused.content
    assert refused.json()["detail"]
    assert not Evidence.objects.exists()


def test_only_who_may_changes_evidence(bank: Bank, api_for: Api) -> None:
    row = record(bank)
    for who in ("noor", "amir", "ci"):
        refused = _post(api_for(who), "/api/v1/evidence", body(bank))
        assert refused.status_code == 403
        assert "Recording and withdrawing evidence needs the role" in refused.json()["detail"]
        assert _post(api_for(who), f"/api/v1/evidence/{row.reference}/withdraw", {"reason": "x"}).status_code == 403
    assert api_for("noor").get("/api/v1/evidence/EV-404").status_code == 404
