"""Keys of evidence as people see them: proposed, compared, confirmed by a second person, withdrawn."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import queries as log
from audit.refusals import NotPermitted
from governance import evidence_keys
from governance.models.evidence import Evidence
from governance.models.evidence_key import EvidenceKey
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_evidence_pages import form
from tests.governance.test_signed_evidence import KEY, OTHER, pem, said, sealed, trusted

Browser = Callable[[str], Client]
PROOF = {"password": personas.PASSWORD}


def asked(**change: object) -> dict[str, object]:
    return {"name": "fairness-lab", "public_key": pem(KEY), "types": ["fairness"], **change}


def test_a_key_is_proposed_compared_confirmed_and_withdrawn_on_its_pages(bank: Bank, client_for: Browser) -> None:
    new, omar, dana = reverse("governance:propose_evidence_key"), client_for("omar"), client_for("dana")
    made = omar.post(new, asked())
    row = EvidenceKey.objects.get()
    assert (made.status_code, made["Location"]) == (302, row.get_absolute_url())
    at = made["Location"]
    mine, theirs = omar.get(at).content.decode(), dana.get(at).content.decode()
    assert row.fingerprint in theirs
    assert "a second person compares its fingerprint" in mine
    assert "Confirming a key of evidence needs the role" in client_for("noor").get(at).content.decode()
    assert f"{at}/confirm" not in mine
    assert f"{at}/confirm" in theirs
    assert dana.post(f"{at}/confirm", {"password": "wrong"}).status_code == 403
    assert omar.post(f"{at}/confirm", PROOF).status_code == 403
    assert dana.post(f"{at}/confirm", PROOF).status_code == 302
    row.refresh_from_db()
    assert (row.state, row.confirmed_by) == ("active", scene.actor("dana").id)
    assert "What fairness-lab signs counts as signed." in dana.get(at).content.decode()
    assert dana.post(f"{at}/confirm", PROOF).status_code == 409
    assert omar.post(f"{at}/withdraw", {"reason": ""}).status_code == 400
    assert client_for("noor").post(f"{at}/withdraw", {"reason": "It leaked."}).status_code == 403
    assert omar.post(f"{at}/withdraw", {"reason": "It leaked."}).status_code == 302
    assert "It leaked." in client_for("noor").get(at).content.decode()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"public_key": "-----BEGIN"}, "not a sound public key"),
        ({"types": []}, "required"),
        ({"types": ["vibes"]}, "not one of the available choices"),
        ({"name": "a b"}, "name"),
        ({"public_key": "x" * 5000}, "at most 4096"),
    ],
)
def test_a_key_that_cannot_be_keeps_what_was_typed(
    bank: Bank, client_for: Browser, change: dict[str, object], said: str
) -> None:
    page = client_for("omar").post(reverse("governance:propose_evidence_key"), asked(**change))
    assert page.status_code == 400
    assert said in page.content.decode()
    assert ('value="fairness-lab"' in page.content.decode()) == ("name" not in change)
    assert not EvidenceKey.objects.exists()


def test_who_may_not_propose_is_told_who_may(bank: Bank, client_for: Browser) -> None:
    address, noor = reverse("governance:propose_evidence_key"), client_for("noor")
    assert "Proposing a key of evidence needs the role" in noor.get(address).content.decode()
    assert noor.post(address, asked()).status_code == 403
    assert client_for("omar").get(reverse("governance:evidence_key", args=["EK-1"])).status_code == 404


def signature(envelope: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile("statement.json", envelope)


def test_a_signature_is_sent_on_the_form_and_shown_with_its_key(bank: Bank, client_for: Browser) -> None:
    key, address, layla = trusted(), reverse("governance:record_evidence"), client_for("layla")
    made = layla.post(address, form(bank, type="fairness", signature_file=signature(sealed(said(bank.new.digest)))))
    assert made.status_code == 302, made.content
    page = layla.get(made["Location"]).content.decode()
    assert key.get_absolute_url() in page
    assert "signed by fairness-lab" in layla.get(reverse("governance:evidence")).content.decode()
    piece = Evidence.objects.get()
    assert piece.reference in layla.get(key.get_absolute_url()).content.decode()
    evidence_keys.withdraw(key.reference, reason="It leaked.", by=scene.actor("omar"))
    assert "no longer counts as signed" in layla.get(made["Location"]).content.decode()
    assert "signed by" not in layla.get(reverse("governance:evidence")).content.decode()


def test_a_signature_that_does_not_count_records_nothing(bank: Bank, client_for: Browser) -> None:
    trusted()
    address, layla = reverse("governance:record_evidence"), client_for("layla")
    for envelope, status, sentence in (
        (b"", 400, "empty"),
        (b"{", 400, "not a JSON object"),
        (b" " * (256 * 1024 + 1), 400, "more than 256 KiB"),
        (sealed(said(bank.new.digest), key=OTHER), 400, "does not hold for any key"),
        (sealed(said(bank.old.digest)), 409, "about other files"),
    ):
        refused = layla.post(address, form(bank, type="fairness", signature_file=signature(envelope)))
        assert (refused.status_code, sentence in refused.content.decode()) == (status, True), sentence
    assert not Evidence.objects.exists()


def test_the_list_says_what_is_believed_in_a_fixed_number_of_queries(bank: Bank, client_for: Browser) -> None:
    address, noor = reverse("governance:evidence_keys"), client_for("noor")
    assert "no evidence counts as signed" in noor.get(address).content.decode()
    trusted()
    with CaptureQueriesContext(connection) as one:
        page = noor.get(address).content.decode()
    assert "The signatures of 1 key are believed." in page
    evidence_keys.propose("another", pem(OTHER), ["dpia"], by=scene.actor("sami"))
    with CaptureQueriesContext(connection) as two:
        page = noor.get(address).content.decode()
    assert "1 waits for a second person." in page
    assert len(two) == len(one)


def test_the_page_of_a_key_is_found_from_the_log(bank: Bank, client_for: Browser) -> None:
    key = trusted()
    entry = log.history(key.subject)[0]
    found = client_for("noor").get(reverse("audit:log"), {"subject": entry.subject})
    assert key.get_absolute_url() in found.content.decode()


def test_who_may_not_confirm_is_refused_and_the_attempt_is_on_record(bank: Bank) -> None:
    row = evidence_keys.propose("lab", pem(KEY), ["fairness"], by=scene.actor("omar"))
    now = timezone.now()
    for by, proof, code in (
        ("omar", now, "evidence_key.second_person"),
        ("yusuf", now, "access.policy.activate"),
        ("noor", now, "access.policy.activate"),
        ("ci", now, "evidence_key.not_a_person"),
        ("dana", None, "evidence_key.not_reauthenticated"),
        ("dana", now - timedelta(hours=1), "evidence_key.not_reauthenticated"),
    ):
        with pytest.raises(NotPermitted) as refusal:
            evidence_keys.confirm(row.reference, reauthenticated_at=proof, by=scene.actor(by))
        entry = log.history(row.subject)[0]
        assert (refusal.value.code, entry.event, entry.facts["rule"]) == (code, "evidence_key.refused", code)
    row.refresh_from_db()
    assert row.state == "proposed"
