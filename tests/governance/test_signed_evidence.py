"""Signed evidence: only what a key in force signed, for these files and this type, counts as signed."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import model_signing
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone
from securesystemslib.dsse import Envelope
from securesystemslib.signer import CryptoSigner

from audit import queries as log
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotPermitted
from cli.countersign.digest import digest_of_path
from governance import evidence, evidence_keys, following, gate, packs, policies
from governance import evidence_signatures as signatures
from governance.models.evidence import Evidence
from governance.models.evidence_key import EvidenceKey
from registry import versions
from tests import personas
from tests.governance import scene
from tests.governance.policies import cases
from tests.governance.scene import Bank
from tests.governance.test_evidence import _post, body, paper

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
DIGEST = scene.digest_of("files")
TYPE = signatures.PAYLOAD_TYPE


def pem(key: Any) -> str:
    told: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return told.decode()


def said(digest: str = DIGEST, **change: Any) -> bytes:
    """A statement about the files."""
    subject = [{"name": "model", "digest": {"sha256": digest.removeprefix("sha256:")}}]
    kind = "https://bank.example/fairness/v1"
    told = {"_type": signatures.STATEMENTS[0], "subject": subject, "predicateType": kind, "predicate": {}}
    return json.dumps({**told, **change}).encode()


def sealed(payload: bytes | None = None, /, *, key: Any = KEY, **change: Any) -> bytes:
    """The payload in a DSSE envelope, made with securesystemslib."""
    payload = said() if payload is None else payload
    made = Envelope(payload, TYPE, {})
    made.sign(CryptoSigner(key))
    return json.dumps({**made.to_dict(), **change}).encode()


@pytest.mark.parametrize("kind", signatures.STATEMENTS)
@pytest.mark.parametrize("key", [KEY, ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP384R1())])
def test_what_securesystemslib_signs_is_verified(key: Any, kind: str) -> None:
    data = sealed(said(_type=kind), key=key)
    found = signatures.verify(data, pem(key))
    assert found.subjects == (DIGEST,)
    assert found.predicate_type == "https://bank.example/fairness/v1"
    assert found.digest == "sha256:" + hashlib.sha256(data).hexdigest()
    with pytest.raises(signatures.NotSigned, match="signature"):
        signatures.verify(data, pem(OTHER))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model of three files, one of them in a folder whose name sorts differently as a path."""
    made = tmp_path / "model"
    (made / "a").mkdir(parents=True)
    for name in ("a/weights", "a.json", "MLmodel"):
        (made / name).write_text(f"what {name} holds")
    return made


@pytest.fixture
def bundle(folder: Path, tmp_path: Path) -> tuple[bytes, str]:
    """The folder signed by ``model_signing`` itself, and the public key."""
    key = ec.generate_private_key(ec.SECP256R1())
    secret, made = tmp_path / "key.pem", tmp_path / "model.sig"
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    model_signing.signing.Config().use_elliptic_key_signer(private_key=secret).sign(folder, made)
    return made.read_bytes(), pem(key)


def test_a_folder_signed_by_model_signing_is_the_folder_that_the_registry_knows(
    folder: Path, bundle: tuple[bytes, str]
) -> None:
    found = signatures.verify(*bundle)
    assert found.predicate_type == signatures.MODEL_SIGNING
    assert found.files == digest_of_path(folder), "the library's list gives the digest that our CLI computes"
    assert found.subjects != (found.files,), "the library's own root digest is another number"
    assert found.is_about(digest_of_path(folder))
    (folder / "a.json").write_text("changed")
    assert not found.is_about(digest_of_path(folder))
    assert not found.is_about("")


def model_signing_says(**change: Any) -> bytes:
    """A statement as the library makes it, about one file, with something else in its predicate."""
    root = "sha256:" + hashlib.sha256(hashlib.sha256(b"x").digest()).hexdigest()
    one = {"name": "f", "algorithm": "sha256", "digest": hashlib.sha256(b"x").hexdigest()}
    told = {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": [one], **change}
    return sealed(said(root, predicateType=signatures.MODEL_SIGNING, predicate=told))


SHARDS = {"method": "shards", "hash_type": "sha256", "shard_size": 1}
LIED = {"name": "f", "algorithm": "sha256", "digest": hashlib.sha256(b"y").hexdigest()}
BLAKE = {"name": "f", "algorithm": "blake2b", "digest": "ab"}


def twice() -> bytes:
    return said().replace(b'{"_type"', b'{"subject": [], "_type"', 1)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"{", "json"),
        (b"\xff{}", "json"),
        (b"[]", "json"),
        (b'{"a": NaN}', "json"),
        (b'{"a": "\\ud800"}', "json"),
        (b'{"a": 1' + b"0" * 5000 + b"}", "json"),
        (b" " * signatures.MOST_BYTES + b"{}", "size"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nesting"),
        (b'{"payloadType": "a", "payloadType": "b"}', "twice"),
        (sealed(payloadType="application/json"), "payload_type"),
        (sealed(payloadType=None), "payload_type"),
        (sealed(signatures=[]), "unsigned"),
        (sealed(signatures="x"), "unsigned"),
        (sealed(signatures=[{"sig": "AAAA"}, {"sig": "AAAA"}]), "several"),
        (sealed(signatures=[{"sig": "not base64!"}]), "base64"),
        (sealed(signatures=[{}]), "base64"),
        (sealed(payload=7), "base64"),
        (sealed(payload="ab="), "base64"),
        (sealed(signatures=[{"sig": "AAAA"}]), "signature"),
        (sealed(payload=base64.b64encode(said(scene.digest_of("else"))).decode()), "signature"),
        (sealed(key=OTHER), "signature"),
        (b'{"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1", "dsseEnvelope": {}}', "bundle"),
        (b'{"dsseEnvelope": {}}', "bundle"),
        (b'{"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json", "messageSignature": {}}', "bundle"),
        (sealed(b"not json"), "json"),
        (sealed(twice()), "twice"),
        (sealed(b'{"a":' + b"[" * 40 + b"]" * 40 + b"}"), "nesting"),
        (sealed(said(_type="https://example.org/Statement/v9")), "statement"),
        (sealed(said(predicateType="")), "statement"),
        (sealed(said(subject=[])), "subject"),
        (sealed(said(subject=[{"digest": {"sha1": "ab"}}])), "subject"),
        (sealed(said("sha256:ABC")), "subject"),
        (sealed(said(predicateType=signatures.MODEL_SIGNING)), "manifest"),
        (model_signing_says(resources=[LIED]), "manifest"),
        (model_signing_says(resources=[BLAKE]), "not_comparable"),
        (model_signing_says(serialization=SHARDS), "not_comparable"),
    ],
)
def test_what_cannot_be_relied_on_is_named(data: bytes, code: str) -> None:
    with pytest.raises(signatures.NotSigned) as refusal:
        signatures.verify(data, pem(KEY))
    assert refusal.value.code == code
    assert evidence_keys.SAYS[code]


@pytest.mark.parametrize(
    ("public_key", "code"),
    [
        ("", "key"),
        ("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", "key"),
        (pem(KEY) + " " * 5000, "key"),
        (pem(ec.generate_private_key(ec.SECP521R1())), "algorithm"),
        (pem(rsa.generate_private_key(65537, 2048)), "algorithm"),
    ],
)
def test_a_key_of_another_kind_is_refused(public_key: str, code: str) -> None:
    with pytest.raises(signatures.NotSigned) as refusal:
        signatures.key_of(public_key)
    assert refusal.value.code == code


def confirm(reference: str, by: Actor) -> EvidenceKey:
    """With the password just entered."""
    return evidence_keys.confirm(reference, reauthenticated_at=timezone.now(), by=by)


def trusted(name: str = "fairness-lab", *types: str, key: Any = KEY) -> EvidenceKey:
    """Sami proposes the key and Omar confirms it."""
    row = evidence_keys.propose(name, pem(key), types or ("fairness",), by=scene.actor("sami"))
    return confirm(row.reference, scene.actor("omar"))


def record(bank: Bank, type: str = "fairness", envelope: bytes | None = None) -> Evidence:
    """Layla records it for the candidate; signed for its files unless told otherwise."""
    signed = sealed(said(bank.new.digest)) if envelope is None else envelope
    return evidence.record(type, bank.new, paper(), envelope=signed, by=scene.actor("layla"))


def test_what_a_key_in_force_signed_is_recorded_with_its_key(bank: Bank) -> None:
    key = trusted()
    row = record(bank)
    row.refresh_from_db()
    assert (row.signed_by, row.signer, row.verified_at) == (key, "fairness-lab", row.recorded_at)
    facts = log.history(row.subject)[0].facts
    assert facts["signed_by"] == key.subject
    assert facts["fingerprint"] == key.fingerprint
    assert facts["envelope_digest"] == row.envelope_digest
    assert [each.event for each in log.history(key.subject)][::-1] in (
        ["evidence_key.proposed", "evidence_key.confirmed"],
        ["evidence_key.confirmed", "evidence_key.proposed"],
    )
    with pytest.raises(DatabaseError), transaction.atomic():
        Evidence.objects.filter(pk=row.pk).update(envelope_digest=scene.digest_of("else"))


def test_what_model_signing_signed_is_evidence_for_a_version_of_that_folder(
    bank: Bank, folder: Path, bundle: tuple[bytes, str]
) -> None:
    data, public_key = bundle
    row = evidence_keys.propose("signers", public_key, ["security_scan"], by=scene.actor("sami"))
    confirm(row.reference, scene.actor("omar"))
    digest = digest_of_path(folder)
    version = versions.register_version(bank.model, digest=digest, trained_by=["yusuf"], number=20, by=scene.SET_UP)
    made = evidence.record("security_scan", version, paper(), envelope=data, by=scene.actor("layla"))
    assert made.signer == "signers"
    with pytest.raises(Conflict) as refusal:
        record(bank, "security_scan", data)
    assert refusal.value.code == "evidence.another_digest"


def test_another_digest_an_unknown_key_and_a_bad_file_are_refused_with_a_sentence(bank: Bank) -> None:
    trusted()
    with pytest.raises(Conflict) as other:
        record(bank, envelope=sealed(said(bank.old.digest)))
    assert other.value.code == "evidence.another_digest"
    for data, code in ((sealed(said(bank.new.digest), key=OTHER), "signature"), (b"{", "json")):
        with pytest.raises(BadInput) as refusal:
            record(bank, envelope=data)
        assert refusal.value.fields["envelope"] == str(evidence_keys.SAYS[code])
    assert not Evidence.objects.exists()


def test_a_key_counts_only_when_a_second_person_confirmed_it_and_for_its_types(bank: Bank) -> None:
    row = evidence_keys.propose("lab", pem(KEY), ["fairness"], by=scene.actor("omar"))
    with pytest.raises(Conflict) as waits:
        record(bank)
    assert waits.value.code == "evidence_key.proposed"
    with pytest.raises(NotPermitted) as alone:
        confirm(row.reference, scene.actor("omar"))
    assert alone.value.code == "evidence_key.second_person"
    with pytest.raises(DatabaseError), transaction.atomic():
        EvidenceKey.objects.filter(pk=row.pk).update(state="active", confirmed_by=row.proposed_by)
    confirm(row.reference, scene.actor("dana"))
    with pytest.raises(Conflict) as type:
        record(bank, "privacy_check")
    assert type.value.code == "evidence_key.type"
    record(bank)
    evidence_keys.withdraw(row.reference, reason="It leaked.", by=scene.actor("omar"))
    with pytest.raises(Conflict) as over:
        record(bank)
    assert over.value.code == "evidence_key.withdrawn"
    with pytest.raises(Conflict):
        confirm(row.reference, scene.actor("dana"))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": ""}, "name"),
        ({"types": []}, "types"),
        ({"types": ["vibes"]}, "types"),
        ({"public_key": "x"}, "public_key"),
    ],
)
def test_a_key_that_cannot_be_is_refused_at_its_field(bank: Bank, change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        evidence_keys.propose(
            **{"name": "lab", "public_key": pem(KEY), "types": ["fairness"], **change}, by=scene.actor("sami")
        )
    assert field in refusal.value.fields


def test_a_name_or_key_is_never_given_twice(bank: Bank) -> None:
    trusted()
    for name, key in (("fairness-lab", OTHER), ("another", KEY)):
        with pytest.raises(Conflict) as refusal:
            evidence_keys.propose(name, pem(key), ["fairness"], by=scene.actor("sami"))
        assert refusal.value.code == "evidence_key.known"


def demand(bank: Bank) -> None:
    """The bank's own checklist: a fairness assessment blocks unless a key in force signed it."""
    text = policies.shipped_packs()["deployment-readiness"].replace("version: 1\n", "version: 2\n")
    asked = "evidence.type == 'fairness' && evidence.status == 'active'"
    assert asked in text
    text = text.replace(asked, f"{asked} && evidence.signer != ''").replace("severity: warn", "severity: block")
    text = text.replace("type: fairness", "type: fairness, signer: lab")  # in the pack's own cases
    scene.in_force(packs.draft(text, by=scene.actor("omar")))


def blocks(bank: Bank) -> bool:
    """Whether the gate denies for the want of a fairness assessment."""
    verdict = gate.check(bank.new, bank.uae, dry_run=True, by=scene.actor("ci")).verdict
    found = [each for each in verdict.findings if each["rule"] == "READY-004"]
    assert found
    return any(each["outcome"] == "fail" for each in found)


def test_a_rule_may_demand_a_signature_and_a_withdrawn_key_takes_it_away(bank: Bank) -> None:
    demand(bank)
    evidence.record("fairness", bank.new, paper(), by=scene.actor("layla"))
    assert blocks(bank), "an unsigned assessment is not enough"
    key = trusted()
    record(bank)
    assert not blocks(bank)
    evidence_keys.withdraw(key.reference, reason="It leaked.", by=scene.actor("omar"))
    assert blocks(bank), "a signature whose key was withdrawn counts no more"
    assert evidence.find(Evidence.objects.first().reference).signer == ""  # type: ignore[union-attr]


def test_cases_that_share_what_they_read_see_the_same_signer(bank: Bank) -> None:
    key = trusted()
    row = record(bank)
    assert Evidence.objects.signers().get(pk=row.pk).key_name == "fairness-lab"
    evidence_keys.withdraw(key.reference, reason="It leaked.", by=scene.actor("omar"))
    assert Evidence.objects.signers().get(pk=row.pk).key_name == ""


def test_unsigned_evidence_is_frozen_as_it_was_before_there_were_signatures() -> None:
    assert "signer" not in cases.evidence().values()
    assert cases.evidence(signer="lab").values()["signer"] == "lab"


def test_withdrawing_a_key_decides_again_what_serves(
    bank: Bank, django_capture_on_commit_callbacks: Callable[..., Any]
) -> None:
    key = trusted()
    with django_capture_on_commit_callbacks() as ordered:
        evidence_keys.withdraw(key.reference, reason="It leaked.", by=scene.actor("omar"))
    assert any(getattr(each, "args", ()) == (following.EVERYTHING,) for each in ordered)


def sent(bank: Bank, envelope: object) -> dict[str, Any]:
    return {**body(bank), "type": "fairness", "envelope": envelope}


def test_the_api_proposes_confirms_and_withdraws_a_key_and_takes_envelopes(
    bank: Bank, api_for: Callable[[str], Client], client_for: Callable[[str], Client]
) -> None:
    asked = {"name": "lab", "public_key": pem(KEY), "types": ["fairness"]}
    keys = "/api/v1/evidence-keys"
    made = _post(client_for("omar"), keys, asked)
    assert made.status_code == 201, made.content
    at = f"{keys}/{made.json()['reference']}"
    proof = {"password": personas.PASSWORD}
    assert _post(client_for("omar"), f"{at}/confirm", proof).status_code == 403, "a second person is needed"
    assert _post(api_for("dana"), f"{at}/confirm", proof).status_code == 403, "a token cannot confirm"
    for wrong in ({}, {"password": "wrong"}):
        assert _post(client_for("dana"), f"{at}/confirm", wrong).status_code == 403, "who is there must be proved"
    confirmed = _post(client_for("dana"), f"{at}/confirm", proof)
    assert confirmed.json()["state"] == "active", confirmed.content
    data = sealed(said(bank.new.digest))
    for envelope in (json.loads(data), base64.b64encode(data).decode()):
        answer = _post(api_for("sami"), "/api/v1/evidence", sent(bank, envelope))
        assert answer.status_code == 201, answer.content
        assert (answer.json()["signer"], answer.json()["signed_by"]) == ("lab", made.json()["reference"])
    for wrong in ("!", "", {}, 7, [], None, json.loads(sealed(signatures=[])), base64.b64encode(b"[" * 9000).decode()):
        answer = _post(api_for("sami"), "/api/v1/evidence", sent(bank, wrong))
        assert (answer.status_code, "envelope" in str(answer.json())) == (400, True), (wrong, answer.content)
    assert _post(client_for("omar"), f"{at}/withdraw", {"reason": ""}).status_code == 400
    gone = _post(client_for("omar"), f"{at}/withdraw", {"reason": "It leaked."})
    assert gone.json()["state"] == "withdrawn"
    assert [each["state"] for each in api_for("sami").get(keys).json()["results"]] == ["withdrawn"]
    assert {each["signer"] for each in api_for("sami").get("/api/v1/evidence").json()["results"]} == {None}
