"""Evidence as people see it: the list, the form, one piece and the version's page."""

from __future__ import annotations

from collections.abc import Callable

from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from governance import evidence
from governance.models.evidence import Evidence
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_evidence import DIGEST, paper

Browser = Callable[[str], Client]


def form(bank: Bank, **change: object) -> dict[str, object]:
    return {
        "type": "validation_report",
        "version": bank.new.subject,
        "environment": "",
        "title": "Hold-out",
        "author": "Model validation",
        "digest": DIGEST,
        "issued_at": "2026-01-01",
        "expires_at": "2099-01-01",
        **change,
    }


def test_evidence_is_recorded_on_its_form_and_the_document_is_not_kept(bank: Bank, client_for: Browser) -> None:
    address, dana = reverse("governance:record_evidence"), client_for("dana")
    assert client_for("noor").post(address, form(bank)).status_code == 403
    upload = SimpleUploadedFile("report.pdf", b"the report")
    for wrong in ({"document_file": upload}, {"digest": ""}):
        assert "one of them" in dana.post(address, form(bank, **wrong)).content.decode()
    upload.seek(0)
    made = dana.post(address, form(bank, digest="", document_file=upload, environment="prod-uae"))
    assert made.status_code == 302
    row = Evidence.objects.get()
    assert (row.digest, row.where) == (DIGEST, "prod-uae")
    assert made["Location"] == row.get_absolute_url()
    for field, value, status in (
        ("version", "version:credit-scoring/99", 404),
        ("digest", "sha256:x", 400),
        ("issued_at", "2999-01-01", 400),
        ("type", "vibes", 400),
    ):
        refused = dana.post(address, form(bank, **{field: value}))
        assert (field, refused.status_code) == (field, status)
    assert Evidence.objects.count() == 1
    page = dana.get(f"{address}?version={bank.new.subject}").content.decode()
    assert f'value="{bank.new.subject}"' in page


def test_a_piece_is_shown_and_withdrawn_on_its_page(bank: Bank, client_for: Browser) -> None:
    row = evidence.record("fairness", bank.new, paper(), by=scene.actor("layla"))
    address = row.get_absolute_url()
    page = client_for("noor").get(address).content.decode()
    assert f"{row.reference} stands for credit-scoring/14 until" in page
    assert "Its errors were compared between groups of people." in page
    assert "Withdrawing evidence needs the role" in page
    withdraw = reverse("governance:withdraw_evidence", args=[row.reference])
    assert client_for("noor").post(withdraw, {"reason": "x"}).status_code == 403
    assert client_for("sami").post(withdraw, {"reason": ""}).status_code == 400
    assert client_for("sami").post(withdraw, {"reason": "Wrong groups."}).status_code == 302
    page = client_for("noor").get(address).content.decode()
    assert "shows nothing for credit-scoring/14 any more: withdrawn." in page
    assert "Wrong groups." in page
    assert client_for("noor").get(reverse("governance:evidence_detail", args=["EV-404"])).status_code == 404


def test_the_list_finds_by_its_filters_and_says_what_ends(bank: Bank, client_for: Browser) -> None:
    address, noor = reverse("governance:evidence"), client_for("noor")
    assert "No evidence is on record" in noor.get(address).content.decode()
    open_end = evidence.record("container", bank.new, paper(expires_at=None), by=scene.actor("sami"))
    soon = evidence.record("fairness", bank.old, paper(), environment=bank.uae, by=scene.actor("layla"))
    page = noor.get(address).content.decode()
    assert "2 pieces of evidence are on record. None ends within thirty days." in page
    found = noor.get(f"{address}?version={bank.old.subject}&environment=prod-uae").content.decode()
    assert soon.reference in found
    assert open_end.reference not in found
    assert "has no end" in noor.get(open_end.get_absolute_url()).content.decode()
    assert noor.get(f"{address}?type=vibes").status_code == 400


def test_the_versions_page_lists_its_evidence_in_one_query(bank: Bank, client_for: Browser) -> None:
    address, noor = bank.new.get_absolute_url(), client_for("noor")
    assert "No evidence is on record for this version." in noor.get(address).content.decode()
    counts = []
    for number in (1, 25):
        while Evidence.objects.count() < number:
            evidence.record("load_test", bank.new, paper(), environment=bank.uae, by=scene.actor("sami"))
        with CaptureQueriesContext(connection) as queries:
            page = noor.get(address).content.decode()
        counts.append(len(queries))
        with CaptureQueriesContext(connection) as queries:
            assert noor.get(reverse("governance:evidence")).status_code == 200
        counts.append(len(queries))
    assert counts[:2] == counts[2:]
    assert "All of it" in page
    piece = Evidence.objects.first()
    assert piece is not None
    assert piece.get_absolute_url() in page
