"""Personal signatures: anybody verifies them with the log alone, and whatever is changed beside them is seen."""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_der_public_key
from django.db import IntegrityError, connection, transaction
from django.test import Client
from webauthn.helpers.encode_cbor import encode_cbor

from audit import queries as log
from governance import assertions, erasure, passkeys, personal
from governance.assertions import Assertion, NotProved
from governance.models import PersonalSignature, Promotion, SecondFactor, SignOff
from tests import personas
from tests.governance import scene
from tests.governance.authenticator import HOST, PRESENT, VERIFIED, Authenticator, flipped
from tests.governance.keyholder import signed
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def host(settings: Any) -> None:
    settings.PUBLIC_URL = HOST


def test_a_passkey_alone_signs_with_two_factors_and_anybody_can_verify_it_with_the_log_alone(
    bank: Bank, client_for: Browser
) -> None:
    promotion, row, _key = signed(bank, client_for("layla"))
    assert (row.factors, row.factor_count) == (["passkey"], 2)
    page = client_for("noor").get(f"/promotions/{promotion.pk}").content.decode()
    assert "Signed with a personal key: verified." in page
    (told,) = client_for("noor").get(f"/api/v1/promotions/{promotion.pk}").json()["signoffs"]
    assert told["personal"]["verified"] is True
    # From here on: two entries of the log, and nothing of the server.
    (given,) = [each for each in log.history(promotion.subject) if each.event == "signoff.keyed"]
    (enrolled,) = log.history(given.facts["factor"])
    public_key = base64.b64decode(enrolled.facts["public_key"])
    load_der_public_key(public_key)
    document = given.facts["document"]
    assertions.verify_document(document, _of(given.facts), public_key=public_key)
    assert enrolled.actor_id == document["signer"] == scene.actor("layla").id
    assert (document["meaning"], document["role"]) == ("approve", "ml_lead")
    assert document["statement"] == row.statement
    assert document["subject_digest"] == row.subject_digest
    salt = assertions.from_text(told["personal"]["comment_salt"])
    assert document["comment"] == assertions.commitment("Checked.", salt)


def _of(told: Any) -> Assertion:
    parts = (told["authenticator_data"], told["client_data"], told["signature"])
    return Assertion(*map(assertions.from_text, parts))


def test_the_script_of_the_documentation_verifies_two_entries_and_no_other(
    forged: tuple[Promotion, SignOff], tmp_path: Path
) -> None:
    """As an outsider runs it: a process of its own, isolated from this project, with the entries' own bytes."""
    (text,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/signing-keys.md").read_text(), re.DOTALL)
    (tmp_path / "verify.py").write_text(text)
    with connection.cursor() as cursor:
        cursor.execute("SELECT convert_from(entry, 'UTF8')::jsonb ->> 'event', entry FROM audit.entry")
        entries = {event: bytes(data) for event, data in cursor.fetchall()}
    enrolled, signature = entries["factor.enrolled"], entries["signoff.keyed"]

    def run(one: bytes, other: bytes) -> subprocess.CompletedProcess[str]:
        for name, data in (("enrolled.json", one), ("signed.json", other)):
            (tmp_path / name).write_bytes(data)
        command = [sys.executable, "-I", "verify.py", "enrolled.json", "signed.json"]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    good = run(enrolled, signature)
    assert (good.returncode, good.stdout.split()[1]) == (0, "approve"), good.stderr
    assert run(enrolled, signature.replace(b'"approve"', b'"reject"')).returncode == 1
    assert run(enrolled, signature.replace(b"Checked", b"checked")).returncode == 0, "the comment is not in it"
    other_key = base64.b64encode(passkeys.spki(_another_key()))
    ours = json.loads(enrolled)["facts"]["public_key"].encode()
    assert run(enrolled.replace(ours, other_key), signature).returncode == 1
    assert run(signature, enrolled).returncode == 1


def test_verifying_needs_no_server_no_django_and_no_more_than_cryptography() -> None:
    tree = ast.parse(Path(assertions.__file__ or "").read_text())
    names = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    ours = {name.partition(".")[0] for name in names}
    library = {"__future__", "base64", "binascii", "collections", "dataclasses", "hashlib", "json", "typing"}
    assert ours - library == {"cryptography"}


@pytest.fixture
def forged(bank: Bank, client_for: Browser) -> tuple[Promotion, SignOff]:
    promotion, row, _key = signed(bank, client_for("layla"))
    return promotion, row


def _shown(change: Callable[[SignOff], None]) -> str:
    """What verifying says of the stored signature when its rows say something else."""
    row = SignOff.objects.select_related("personal__factor").get()
    change(row)
    (found,) = personal.verified([row]).values()
    return found.why


CHANGES: dict[str, tuple[Callable[[SignOff], Any], str]] = {
    "nothing": (lambda row: None, ""),
    "the comment": (lambda row: setattr(row, "comment", "Looks fine."), "document"),
    "the meaning": (lambda row: setattr(row, "meaning", "reject"), "document"),
    "the role": (lambda row: setattr(row, "role", "dpo"), "document"),
    "the subject": (lambda row: setattr(row, "subject_digest", "sha256:" + "0" * 64), "document"),
    "the statement": (lambda row: setattr(row, "statement", "I approve everything."), "document"),
    "the promotion": (lambda row: setattr(row, "promotion_id", 999), "document"),
    "the round": (lambda row: setattr(row, "round", 2), "document"),
    "the signer": (lambda row: setattr(row, "signer", "user:0"), "key_not_recorded"),
    "no salt": (lambda row: setattr(row.personal, "comment_salt", ""), "document"),
    "the document": (lambda row: row.personal.document.update(time="2020-01-01T00:00:00Z"), "challenge"),
    "the origin in it": (lambda row: row.personal.document.update(origin="https://evil.example"), "challenge"),
    "the key": (
        lambda row: setattr(row.personal.factor, "cose_key", _another_key()),
        "key_not_recorded",
    ),
    "the entry of the key": (lambda row: setattr(row.personal.factor, "entry", _other_entry()), "key_not_recorded"),
    "a signature that is no text": (lambda row: setattr(row.personal, "signature", "%%%"), "malformed"),
}


def _another_key() -> bytes:
    return encode_cbor(Authenticator()._cose())


def _other_entry() -> Any:
    return log.search(log.Filters(event="user.created")).rows[0].event_id


@pytest.mark.parametrize(("change", "why"), CHANGES.values(), ids=CHANGES.keys())
def test_whatever_is_changed_beside_a_personal_signature_is_seen(
    forged: tuple[Promotion, SignOff], change: Callable[[SignOff], None], why: str
) -> None:
    assert _shown(change) == why


def test_an_administrator_who_writes_a_sign_off_for_somebody_cannot_make_it_verify(
    bank: Bank, client_for: Browser
) -> None:
    """The stored answer of one sign-off, moved to another one of the same person."""
    _promotion, row, _key = signed(bank, client_for("layla"))
    other = scene.request(bank, place=bank.frankfurt)
    target = SignOff(
        pk=row.pk + 1,
        promotion=other,
        round=1,
        signer=row.signer,
        role=row.role,
        meaning=row.meaning,
        statement=row.statement,
        comment=row.comment,
        subject_digest=row.subject_digest,
    )
    target.personal = PersonalSignature.objects.select_related("factor").get()
    (found,) = personal.verified([target]).values()
    assert found.why == "document"
    assert "does NOT verify" in personal.said(found, 2)


def test_the_database_keeps_a_personal_signature_as_it_was_given(forged: tuple[Promotion, SignOff]) -> None:
    for change in ({"signature": "AAAA"}, {"document": {}}, {"client_data": "AAAA"}, {"authenticator_data": "AAAA"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            PersonalSignature.objects.update(**change)
    with pytest.raises(IntegrityError), transaction.atomic():
        SecondFactor.objects.update(cose_key=b"other")
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.update(factors=["password"])


@pytest.mark.parametrize("part", ["authenticator_data", "client_data", "signature"])
def test_every_bit_of_an_answer_matters(forged: tuple[Promotion, SignOff], part: str) -> None:
    row = PersonalSignature.objects.get()
    key = passkeys.spki(bytes(row.factor.cose_key or b""))
    told = {name: getattr(row, name) for name in ("authenticator_data", "client_data", "signature")}
    assertions.verify_document(row.document, _of(told), public_key=key)
    for bit in range(8 * len(assertions.from_text(told[part]))):
        with pytest.raises(NotProved):
            assertions.verify_document(row.document, _of(told | {part: flipped(told[part], bit)}), public_key=key)


def test_the_pure_function_says_what_is_wrong(forged: tuple[Promotion, SignOff]) -> None:
    row = PersonalSignature.objects.get()
    made = _of({name: getattr(row, name) for name in ("authenticator_data", "client_data", "signature")})
    given: dict[str, Any] = {
        "challenge": assertions.challenge_of(row.document),
        "origin": HOST,
        "rp_id": "countersign.example",
        "public_key": passkeys.spki(bytes(row.factor.cose_key or b"")),
    }
    assertions.verify(made, **given)
    wrong = {"challenge": b"x" * 32, "origin": "https://evil.example", "rp_id": "evil.example", "public_key": b"no key"}
    for name, flaw in (("challenge", "challenge"), ("origin", "origin"), ("rp_id", "rp_id"), ("public_key", "key")):
        with pytest.raises(NotProved, match=f"^{flaw}$"):
            assertions.verify(made, **{**given, name: wrong[name]})
    for document in ({"x": 1.5}, {"x": True}, {"ключ": "x"}, {"x": "\ud800"}, {"x": "y"}):
        with pytest.raises(NotProved, match="document"):
            assertions.verify_document(document, made, public_key=given["public_key"])  # type: ignore[arg-type]
    for broken in (b"", b"[]", b"\xff", b"[" * 100_000):
        with pytest.raises(NotProved, match="malformed"):
            assertions.verify(Assertion(made.authenticator_data, broken, made.signature), **given)


@pytest.mark.parametrize(
    ("change", "flaw"),
    [
        ({}, ""),
        ({"flags": PRESENT}, "user_verification"),
        ({"flags": VERIFIED}, "presence"),
        ({"origin": "https://evil.example"}, "origin"),
        ({"rp_id": "evil.example"}, "rp_id"),
        ({"kind": "webauthn.create"}, "type"),
    ],
)
def test_a_key_that_signed_honestly_what_must_not_count_does_not_count(change: dict[str, Any], flaw: str) -> None:
    """The signature itself is right each time: only what was signed is not."""
    key = Authenticator(**change)
    document: dict[str, str | int] = {"kind": personal.KIND, "origin": HOST, "rp_id": "countersign.example"}
    told = json.loads(key.answer({"challenge": assertions.to_text(assertions.challenge_of(document))}))["response"]
    names = ("authenticatorData", "clientDataJSON", "signature")
    made = Assertion(*(assertions.from_text(told[name]) for name in names))
    public_key = passkeys.spki(encode_cbor(key._cose()))
    if not flaw:
        assertions.verify_document(document, made, public_key=public_key)
        return
    with pytest.raises(NotProved, match=f"^{flaw}$"):
        assertions.verify_document(document, made, public_key=public_key)


def test_with_the_person_go_credential_and_salt_and_the_signature_still_verifies(
    bank: Bank, client_for: Browser
) -> None:
    promotion, _row, _key = signed(bank, client_for("layla"))
    assert scene.sign(promotion, "omar", "compliance_officer", meaning="reject")
    layla = personas.get("layla")
    erasure.erase_with_password(
        layla.uuid, reason="Request 3", no_legal_hold=True, password=personas.PASSWORD, user=personas.get("amir")
    )
    row = SignOff.objects.select_related("personal__factor").get(signer=layla.subject)
    own = row.personal
    assert (own.credential_id, own.comment_salt, own.factor.credential_id) == ("", "", "")
    assert (row.comment, own.factor.label) == ("(erased)", "(erased)")
    (found,) = personal.verified([row]).values()
    assert found.verified
    assert (
        "Signed with a personal key: verified."
        in client_for("noor").get(f"/promotions/{promotion.pk}").content.decode()
    )


def test_the_page_asks_the_database_as_often_with_a_personal_signature_as_with_ten(
    bank: Bank, client_for: Browser, django_assert_max_num_queries: Any
) -> None:
    signed(bank, client_for("layla"))
    rows = list(SignOff.objects.select_related("personal__factor"))
    with django_assert_max_num_queries(1):
        personal.verified(rows * 10)
    with django_assert_max_num_queries(0):
        personal.verified([])
