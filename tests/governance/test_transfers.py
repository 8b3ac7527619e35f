"""Transfer safeguards: recorded whole, approved by a second person, revoked by one, never changed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotPermitted
from governance import transfers
from governance.models.transfer import TransferSafeguard
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
Api = Callable[[str], Client]
DIGEST = scene.digest_of("the clauses")


def record(reference: str = "TS-1", **change: Any) -> TransferSafeguard:
    """Dana proposes clauses for the inference log and the serving of dr-frankfurt."""
    given: dict[str, Any] = {
        "type": "SCC",
        "law": "AE-federal",
        "document": "SCC 2026-04 with Bank Frankfurt",
        "document_digest": DIGEST,
        "exporter": "Bank, Abu Dhabi",
        "importer": "Bank, Frankfurt",
        "subjects": ["environment:dr-frankfurt"],
        "regions": ["azure:germanywestcentral"],
        "expires_at": timezone.now() + timedelta(days=30),
        "risk_assessment_at": timezone.now() - timedelta(days=1),
        "assessment": scene.ASSESSMENT,
        **change,
    }
    return transfers.record(reference, by=scene.actor("dana"), **given)


def test_a_safeguard_is_recorded_with_its_document_parties_and_assessment(bank: Bank) -> None:
    row = record()
    row.refresh_from_db()
    assert (row.document_digest, row.digest_basis) == (DIGEST, "stated")
    assert (row.exporter, row.importer) == ("Bank, Abu Dhabi", "Bank, Frankfurt")
    assert row.assessment == scene.ASSESSMENT
    entry = log.history(row.subject)[0]
    assert entry.event == "safeguard.recorded"
    assert entry.facts["document_digest"] == DIGEST
    assert "importer" not in entry.facts, "parties belong into the erasable part"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"assessment": {}}, "assessment"),
        ({"assessment": {**scene.ASSESSMENT, "D": "  "}}, "assessment"),
        ({"assessment": {**scene.ASSESSMENT, "G": "x"}}, "assessment"),
        ({"risk_assessment_at": None}, "risk_assessment_at"),
        ({"risk_assessment_at": timezone.now() + timedelta(days=9)}, "risk_assessment_at"),
        ({"risk_assessment_at": datetime(2026, 1, 1)}, "risk_assessment_at"),
        ({"document_digest": "sha256:ABC"}, "document_digest"),
        ({"document_digest": DIGEST, "digest_basis": "guessed"}, "digest_basis"),
        ({"type": "HANDSHAKE"}, "type"),
        ({"exporter": "x" * 201}, "exporter"),
    ],
)
def test_half_an_assessment_or_a_malformed_paper_is_refused_at_its_field(
    bank: Bank, change: dict[str, Any], field: str
) -> None:
    with pytest.raises(BadInput) as refusal:
        record(**change)
    assert field in refusal.value.fields
    assert not TransferSafeguard.objects.exists()


def test_a_safeguard_needs_no_assessment_where_no_rule_asks_for_one(bank: Bank) -> None:
    assert record(risk_assessment_at=None, assessment=None).risk_assessment_at is None


@pytest.mark.parametrize("kind", ["SCC", "BCR", "ACCREDITATION_CERT", "ADEQUACY", "DEROGATION"])
def test_every_kind_of_mechanism_can_be_recorded(bank: Bank, kind: str) -> None:
    assert record(type=kind).type == kind


def test_one_person_revokes_even_what_they_recorded_and_it_never_counts_again(bank: Bank) -> None:
    record()
    transfers.approve("TS-1", by=scene.actor("omar"))
    with pytest.raises(BadInput):
        transfers.revoke("TS-1", reason=" ", by=scene.actor("dana"))
    row = transfers.revoke("TS-1", reason="The importer was sold.", by=scene.actor("dana"))
    assert (row.status, row.revoked_by) == ("revoked", scene.actor("dana").id)
    entry = log.history(row.subject)[0]
    assert (entry.event, entry.reason) == ("safeguard.revoked", "The importer was sold.")
    for again in (transfers.revoke, transfers.approve):
        with pytest.raises(Conflict):
            again("TS-1", reason="x", by=scene.actor("omar"))


def test_a_proposal_can_be_withdrawn_and_an_expired_one_not_approved(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    record()
    assert transfers.revoke("TS-1", reason="A typing error.", by=scene.actor("dana")).status == "revoked"
    later = record("TS-2").expires_at + timedelta(seconds=1)
    monkeypatch.setattr(timezone, "now", lambda: later)
    with pytest.raises(Conflict) as refusal:
        transfers.approve("TS-2", by=scene.actor("omar"))
    assert refusal.value.code == "safeguard.expired"


@pytest.mark.parametrize(
    "change",
    [
        {"expires_at": datetime.fromisoformat("2099-01-01T00:00:00Z")},
        {"regions": ["gcp:me-central2"]},
        {"subjects": ["dataset:loans-2026q3"]},
        {"document_digest": DIGEST.replace("a", "b")},
        {"assessment": {}},
        {"type": "BCR"},
        {"status": "revoked"},
        {"status": "active"},
        {"status": "lapsed"},
    ],
)
def test_the_database_keeps_what_was_recorded_and_who_ended_it(bank: Bank, change: dict[str, Any]) -> None:
    record()
    with pytest.raises(DatabaseError), transaction.atomic():
        TransferSafeguard.objects.update(**change)


@pytest.mark.parametrize(
    "change",
    [
        {"assessment": {"A": "only one"}},
        {"assessment": scene.ASSESSMENT, "risk_assessment_at": None},
        {"document_digest": "sha256:short"},
        {"document_digest": "", "digest_basis": "stated"},
        {"subjects": []},
        {"type": "HANDSHAKE"},
        {"expires_at": datetime.fromisoformat("2001-01-01T00:00:00Z")},
    ],
)
def test_the_database_refuses_a_row_that_no_function_would_write(bank: Bank, change: dict[str, Any]) -> None:
    row = record()
    row.pk, row.reference = None, "TS-X"
    for name, value in change.items():
        setattr(row, name, value)
    with pytest.raises(DatabaseError), transaction.atomic():
        row.save(force_insert=True)


def _post(client: Client, address: str, body: object) -> Any:
    return client.post(address, body, content_type="application/json")


def test_the_api_shows_and_revokes_one_safeguard(bank: Bank, api_for: Api) -> None:
    record()
    one = api_for("noor").get("/api/v1/transfers/TS-1").json()
    assert (one["document_digest"], one["digest_basis"], one["assessment"]["F"]) == (
        DIGEST,
        "stated",
        scene.ASSESSMENT["F"],
    )
    assert api_for("noor").get("/api/v1/transfers/TS-404").status_code == 404
    assert _post(api_for("yusuf"), "/api/v1/transfers/TS-1/revoke", {"reason": "x"}).status_code == 403
    assert _post(api_for("dana"), "/api/v1/transfers/TS-1/revoke", {}).status_code == 400
    assert _post(api_for("dana"), "/api/v1/transfers/TS-1/revoke", {"reason": "x", "why": "y"}).status_code == 400
    gone = _post(api_for("dana"), "/api/v1/transfers/TS-1/revoke", {"reason": "Sold."}).json()
    assert (gone["status"], gone["revoked_reason"]) == ("revoked", "Sold.")
    assert _post(api_for("dana"), "/api/v1/transfers/TS-1/revoke", {"reason": "x"}).status_code == 409


def test_the_api_records_papers_and_refuses_half_of_them(bank: Bank, api_for: Api) -> None:
    body = {
        "reference": "TS-7",
        "type": "BCR",
        "law": "AE-federal",
        "document": "Group rules",
        "document_digest": DIGEST,
        "exporter": "Bank, Abu Dhabi",
        "importer": "Bank, Frankfurt",
        "subjects": ["dataset:loans-2026q3"],
        "regions": ["azure:germanywestcentral"],
        "expires_at": "2099-01-01T00:00:00Z",
        "risk_assessment_at": "2026-01-01T00:00:00Z",
    }
    refused = _post(api_for("dana"), "/api/v1/transfers", body)
    assert refused.status_code == 400
    assert "A, B, C, D, E, F" in str(refused.json()["errors"])
    made = _post(api_for("dana"), "/api/v1/transfers", {**body, "assessment": scene.ASSESSMENT})
    assert made.status_code == 201
    assert made.json()["importer"] == "Bank, Frankfurt"


def _form(**change: object) -> dict[str, object]:
    return {
        "reference": "TS-1",
        "type": "SCC",
        "law": "AE-federal",
        "document": "SCC 2026-04",
        "subjects": "environment:dr-frankfurt",
        "regions": "azure:germanywestcentral",
        "expires_at": "2099-01-01",
        **change,
    }


@pytest.mark.parametrize("law", ["", "Mars", "AE"])
def test_a_safeguard_says_under_whose_law_it_is_made(bank: Bank, api_for: Api, client_for: Browser, law: str) -> None:
    with pytest.raises(BadInput) as refusal:
        record(law=law)
    assert "AE-federal" in refusal.value.fields["law"]
    assert client_for("dana").post(reverse("governance:record_transfer"), _form(law=law)).status_code == 400
    assert not TransferSafeguard.objects.exists()


def test_a_document_is_uploaded_for_its_digest_and_not_kept(bank: Bank, client_for: Browser) -> None:
    upload = SimpleUploadedFile("clauses.pdf", b"the clauses")
    address = reverse("governance:record_transfer")
    assert client_for("noor").post(address, _form()).status_code == 403
    both = client_for("dana").post(address, _form(document_file=upload, document_digest=DIGEST))
    assert "not both" in both.content.decode()
    upload.seek(0)
    assert client_for("dana").post(address, _form(document_file=upload)).status_code == 302
    row = TransferSafeguard.objects.get()
    assert (row.document_digest, row.digest_basis) == (DIGEST, "uploaded")


def test_the_form_asks_for_all_six_elements_or_none(bank: Bank, client_for: Browser) -> None:
    address = reverse("governance:record_transfer")
    half = client_for("dana").post(address, _form(element_A="Loans.", risk_assessment_at="2026-01-01"))
    assert half.status_code == 400
    assert 'id="id_element_F_error"' in half.content.decode()
    whole = {f"element_{letter}": text for letter, text in scene.ASSESSMENT.items()}
    assert client_for("dana").post(address, _form(**whole)).status_code == 400, "the day is missing"
    assert client_for("dana").post(address, _form(**whole, risk_assessment_at="2026-01-01")).status_code == 302
    assert TransferSafeguard.objects.get().assessment == scene.ASSESSMENT
    again = client_for("dana").post(address, _form())
    assert again.status_code == 409


def test_a_safeguard_is_approved_and_revoked_on_its_page(bank: Bank, client_for: Browser) -> None:
    record()
    page = client_for("dana").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert "makes nothing lawful yet: a second person must approve it." in page
    assert "You recorded this; someone else must approve it." in page
    approve = reverse("governance:approve_transfer", args=["TS-1"])
    assert client_for("dana").post(approve).status_code == 403
    assert client_for("omar").post(approve, {"reason": "Read it."}).status_code == 302
    revoke = reverse("governance:revoke_transfer", args=["TS-1"])
    assert client_for("omar").post(revoke, {"reason": ""}).status_code == 400
    assert client_for("noor").post(revoke, {"reason": "x"}).status_code == 403
    assert client_for("dana").post(revoke, {"reason": "Sold."}).status_code == 302
    page = client_for("noor").get(reverse("governance:transfer", args=["TS-1"])).content.decode()
    assert "was revoked and makes nothing lawful." in page
    assert scene.ASSESSMENT["C"] in page


def test_who_recorded_it_cannot_approve_it(bank: Bank) -> None:
    record()
    with pytest.raises(NotPermitted):
        transfers.approve("TS-1", by=scene.actor("dana"))


def test_a_safeguards_page_takes_the_same_number_of_queries_whatever_it_holds(bank: Bank, client_for: Browser) -> None:
    record()
    noor, address = client_for("noor"), reverse("governance:transfer", args=["TS-1"])
    noor.get(address)
    with CaptureQueriesContext(connection) as queries:
        assert noor.get(address).status_code == 200
    assert len(queries) <= 9, "\n".join(each["sql"][:90] for each in queries.captured_queries)
