"""Attestations of decisions and the server's key, as the world's own tools read them."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import IntegrityError, transaction
from django.test import Client
from google.protobuf import json_format
from in_toto_attestation.predicates.vsa.v1.vsa_pb2 import VerificationSummary
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from securesystemslib.dsse import Envelope
from securesystemslib.exceptions import VerificationError
from securesystemslib.signer import SSlibKey

from audit import queries as log
from config.stack.state import State
from governance import attestations, gate, keys, rollouts
from governance.models import AttestationKey, Decision, Permit
from governance.signing import keys_in, thumbprint
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]
PUBLISHED = "/.well-known/countersign-keys.json"


def decided(bank: Bank, place: str = "staging") -> Decision:
    """A decision of the gate: allowed in staging, denied in Frankfurt, pending in production."""
    environment = {"staging": bank.staging, "dr-frankfurt": bank.frankfurt, "prod-uae": bank.uae}[place]
    answer = gate.check(bank.new, environment, by=scene.actor("ci"))
    assert answer.decision is not None
    return answer.decision


def fetched(api_for: Api, decision: Decision) -> dict[str, Any]:
    answer = api_for("ci").get(f"/api/v1/decisions/{decision.public_id}/attestation")
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json"), answer.content
    found: dict[str, Any] = json.loads(answer.content)
    return found


def published(client: Client) -> dict[str, dict[str, Any]]:
    answer = client.get(PUBLISHED)
    assert answer.status_code == 200
    return {each["kid"]: each for each in answer.json()["keys"]}


def library_key(jwk: dict[str, Any]) -> SSlibKey:
    """A published key as securesystemslib knows keys."""
    raw = base64.urlsafe_b64decode(jwk["x"] + "=")
    return SSlibKey(jwk["kid"], "ed25519", "ed25519", {"public": raw.hex()})


@pytest.mark.parametrize(
    ("place", "result"), [("staging", "PASSED"), ("dr-frankfurt", "FAILED"), ("prod-uae", "FAILED")]
)
def test_securesystemslib_verifies_the_envelope_and_in_toto_the_statement(
    bank: Bank, api_for: Api, client: Client, place: str, result: str
) -> None:
    decision = decided(bank, place)
    found = fetched(api_for, decision)
    envelope = Envelope.from_dict(json.loads(json.dumps(found)))
    (jwk,) = published(client).values()
    assert envelope.verify([library_key(jwk)], 1).keys() == {jwk["kid"]}
    assert envelope.payload_type == "application/vnd.in-toto+json"
    statement = Statement.copy_from_pb(json_format.Parse(envelope.payload, StatementMessage()))
    statement.validate()
    assert statement.pb.predicate_type == "https://slsa.dev/verification_summary/v1"
    (subject,) = statement.pb.subject
    assert dict(subject.digest) == {"sha256": bank.new.digest.removeprefix("sha256:")}
    told = json.loads(envelope.payload)["predicate"]
    levels = told.pop("verifiedLevels")  # an array in the specification, one string in the library's message
    assert levels == ["COUNTERSIGN_GATE_ALLOWED" if result == "PASSED" else "FAILED"]
    summary = json_format.ParseDict(told, VerificationSummary(), ignore_unknown_fields=True)
    assert summary.verification_result == result
    assert summary.verifier.id == "http://127.0.0.1:8000/"
    assert summary.time_verified.ToDatetime(tzinfo=decision.decided_at.tzinfo) == decision.decided_at
    assert summary.policy.digest["sha256"] == attestations.policy_digest(decision)


def test_it_names_what_was_decided_on_what_and_where(bank: Bank) -> None:
    decision = decided(bank)
    predicate = attestations.statement(decision)["predicate"]
    told = predicate[attestations.EXTENSION]
    names = ("subject_digest", "facts_digest", "result_digest")
    assert {name: told[name] for name in names} == {name: getattr(decision, name) for name in names}
    assert (told["decision"], told["environment"], told["outcome"]) == (decision.public_id, "staging", "allow")
    digests = {each["name"]: each["digest"]["sha256"] for each in told["policy"]}
    assert digests == {f"{p['pack']}/{p['version']}": p["digest"].removeprefix("sha256:") for p in decision.packs}
    of_all = [{name: pack[name] for name in ("pack", "version", "digest")} for pack in decision.packs]
    assert predicate["policy"]["digest"] == {"sha256": hashlib.sha256(rfc8785.dumps(of_all)).hexdigest()}
    assert predicate["resourceUri"].endswith("/models/credit-scoring/14#environment=staging")
    standard = {"verifier", "timeVerified", "resourceUri", "policy", "inputAttestations"}
    standard |= {"verificationResult", "verifiedLevels"}
    assert all(":" in name for name in predicate.keys() - standard), "extension fields are named by URIs"


def test_a_decision_gives_the_same_bytes_each_time(bank: Bank) -> None:
    decision = decided(bank)
    first = attestations.envelope(decision)
    assert attestations.envelope(Decision.objects.get(pk=decision.pk)) == first
    assert attestations.envelope(decided(bank)) != first


def test_another_key_does_not_verify_it(bank: Bank, api_for: Api) -> None:
    envelope = Envelope.from_dict(fetched(api_for, decided(bank)))
    raw = Ed25519PrivateKey.generate().public_key().public_bytes_raw()
    (kid,) = envelope.signatures
    with pytest.raises(VerificationError):
        envelope.verify([SSlibKey(kid, "ed25519", "ed25519", {"public": raw.hex()})], 1)


def test_a_dry_run_has_no_attestation_and_an_unknown_decision_is_a_sentence(bank: Bank, api_for: Api) -> None:
    question = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "staging"}
    ci = api_for("ci")
    dry = ci.post("/api/v1/gate/checks", {**question, "mode": "dry_run"}, content_type="application/json").json()
    assert (dry["decision"], dry["attestation_url"]) == ("allow", None)
    real = ci.post("/api/v1/gate/checks", question, content_type="application/json").json()
    assert ci.get(real["attestation_url"].removeprefix("http://127.0.0.1:8000")).status_code == 200
    unknown = ci.get("/api/v1/decisions/dec_NOPE/attestation")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "decision.unknown")
    assert Client().get(real["attestation_url"].removeprefix("http://127.0.0.1:8000")).status_code == 401


def test_the_keys_are_published_for_everybody_and_called_by_their_thumbprint(bank: Bank, client: Client) -> None:
    decided(bank)
    ((kid, jwk),) = published(client).items()
    assert {name: jwk[name] for name in ("kty", "crv", "use", "alg", "status")} == {
        "kty": "OKP",
        "crv": "Ed25519",
        "use": "sig",
        "alg": "EdDSA",
        "status": "active",
    }
    assert kid == thumbprint(jwk["x"])
    (entry,) = log.history(f"attestation_key:{kid}")
    assert (entry.event, entry.facts["public_key"]) == ("attestation_key.announced", jwk["x"])
    assert client.post(PUBLISHED).status_code == 405


def test_a_thumbprint_is_that_of_rfc_8037() -> None:
    """Appendix A.3: the thumbprint of the key of appendix A.1."""
    assert thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo") == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


def test_the_page_of_a_decision_says_how_to_verify_it(bank: Bank, client_for: Api) -> None:
    decision, kid = decided(bank, "dr-frankfurt"), keys.signer().kid
    noor = client_for("noor")
    page = noor.get(f"/decisions/{decision.public_id}").content.decode()
    assert "Signed as failed" in page
    assert f"countersign verify {decision.public_id}.intoto.json --key countersign-keys.json" in page
    assert f"--digest {bank.new.digest} --environment dr-frankfurt" in page
    assert kid in page
    address = f"/api/v1/decisions/{decision.public_id}/attestation"
    assert f'href="{address}"' in page
    taken = noor.get(address)
    assert taken["Content-Disposition"] == f'attachment; filename="{decision.public_id}.intoto.json"'
    assert "Signed as passed" in noor.get(f"/decisions/{decided(bank).public_id}").content.decode()


def test_the_stack_makes_the_key_once_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ATTESTATION_KEY", raising=False)
    state = State(tmp_path / "state")
    state.prepare().close()
    state.secrets()
    path = state.folder / "secrets" / "attestation"
    made = path.read_text()
    (key,) = keys_in(made)
    assert (len(key.kid), path.stat().st_mode & 0o777) == (43, 0o600)
    state.secrets()
    assert path.read_text() == made


@pytest.fixture
def key_file(settings: Any, tmp_path: Path) -> Path:
    """The key in a file, as the stack makes it."""
    path = tmp_path / "attestation"
    path.write_text(base64.b64encode(os.urandom(32)).decode() + "\n")
    path.chmod(0o600)
    settings.ATTESTATION_KEY, settings.ATTESTATION_KEY_FILE = "", path
    return path


def test_a_rotation_puts_a_new_key_in_use_and_the_old_one_stays_published(
    bank: Bank, client: Client, key_file: Path, api_for: Api, capsys: pytest.CaptureFixture[str]
) -> None:
    decision, before = decided(bank), key_file.read_text()
    old = Envelope.from_dict(fetched(api_for, decision))
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    call_command("attestation_keys", "rotate", "--by", "amir")
    now = keys.signer()
    assert now.kid not in old.signatures
    assert key_file.read_text() != before
    assert len(key_file.read_text().split()) == 1, "what is retired is destroyed"
    assert key_file.stat().st_mode & 0o777 == 0o600
    found = published(client)
    assert [each["status"] for each in found.values()] == ["active", "retired"]
    (kid,) = old.signatures
    assert found[kid]["last_used_at"]
    assert old.verify([library_key(found[kid])], 1)
    new = Envelope.from_dict(fetched(api_for, decision))
    assert (new.payload, new.signatures.keys()) == (old.payload, {now.kid})
    entry = log.history(f"attestation_key:{kid}")[0]
    assert (entry.event, entry.actor_id) == ("attestation_key.retired", scene.actor("amir").id)
    assert answer.decision is not None
    rollouts.record_deploy(answer.decision.public_id, secret=answer.secret, environment="staging", by=scene.actor("ci"))
    call_command("attestation_keys", "list")
    assert capsys.readouterr().out.count("in use") == 2  # the rotation said so too


def test_a_key_of_the_environment_is_rotated_by_giving_the_new_one_beside_it(bank: Bank, settings: Any) -> None:
    old = keys.signer()
    with pytest.raises(CommandError, match="no new key"):
        call_command("attestation_keys", "rotate", "--by", "amir")
    fresh = Ed25519PrivateKey.generate()
    pem = fresh.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    first = old.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    settings.ATTESTATION_KEY = first + pem
    assert keys.signer().kid == old.kid
    call_command("attestation_keys", "rotate", "--by", "amir")
    assert keys.signer().private.private_bytes_raw() == fresh.private_bytes_raw()
    settings.ATTESTATION_KEY = pem.replace("\n", "\\n")
    assert keys.signer().private.private_bytes_raw() == fresh.private_bytes_raw()
    with pytest.raises(CommandError, match="no active account"):
        call_command("attestation_keys", "rotate", "--by", "nobody")


def test_a_key_that_nobody_announced_signs_nothing_and_the_server_says_so(
    bank: Bank, settings: Any, api_for: Api, caplog: pytest.LogCaptureFixture
) -> None:
    decision = decided(bank)
    issued = Permit.objects.count()
    settings.ATTESTATION_KEY = base64.b64encode(os.urandom(32)).decode()
    answer = api_for("ci").get(f"/api/v1/decisions/{decision.public_id}/attestation")
    assert (answer.status_code, answer.json()["code"]) == (503, "attestation.key")
    assert "attestation_keys rotate" in answer.json()["detail"]
    question = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "staging"}
    asked = api_for("ci").post("/api/v1/gate/checks", question, content_type="application/json")
    assert (asked.status_code, Permit.objects.count()) == (503, issued)
    keys.require_key()
    assert "not the one that is announced" in caplog.text


def _pem_of_another_kind() -> str:
    key = generate_private_key(SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("!!", "neither PEM nor base64"),
        (base64.b64encode(b"short").decode(), "5 bytes instead of 32"),
        ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", "not a readable"),
        (_pem_of_another_kind(), "another kind than Ed25519"),
    ],
)
@pytest.mark.django_db
def test_a_boot_without_a_usable_key_fails_with_a_sentence_that_does_not_show_it(
    settings: Any, given: str, why: str
) -> None:
    settings.ATTESTATION_KEY = given
    with pytest.raises(ImproperlyConfigured, match=why) as refused:
        keys.require_key()
    assert given not in str(refused.value)


@pytest.mark.django_db
def test_a_boot_without_a_key_or_with_an_open_file_fails_with_a_sentence(key_file: Path) -> None:
    key_file.chmod(0o640)
    with pytest.raises(ImproperlyConfigured, match="0600"):
        keys.require_key()
    key_file.write_text("")
    key_file.chmod(0o600)
    with pytest.raises(ImproperlyConfigured, match="holds no key"):
        keys.require_key()
    key_file.unlink()
    with pytest.raises(ImproperlyConfigured, match=r"manage\.py up"):
        keys.require_key()


def test_a_lost_key_is_replaced_by_a_rotation(bank: Bank, key_file: Path) -> None:
    lost = keys.signer()
    key_file.unlink()
    call_command("attestation_keys", "rotate", "--by", "amir")
    assert keys.signer().kid != lost.kid


@pytest.mark.django_db
def test_one_key_is_in_use_and_what_was_announced_is_not_rewritten() -> None:
    row = AttestationKey.objects.get(kid=keys.signer().kid)
    second = AttestationKey(kid="x", public_key="y", first_used_at=row.first_used_at, announced_by="system:x")
    with pytest.raises(IntegrityError, match="attestation_key_one_in_use"), transaction.atomic():
        second.save()
    with pytest.raises(IntegrityError, match="keeps what was first written"), transaction.atomic():
        AttestationKey.objects.update(public_key="y" * 43)
