"""``countersign attest``, ``verify`` and ``permit`` as a pipeline runs them; a server is asked for the first only."""

from __future__ import annotations

import base64
import json
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from governance import permit_tokens
from governance.signing import SigningKey
from tests.cli.gate import CLI, DIGEST, Gate, free_port, run, serving

sys.path.append(str(CLI))

from countersign import attest, permits, signed
from countersign.exits import Stop

KEY = SigningKey.of_seed(os.urandom(32))
OTHER = SigningKey.of_seed(os.urandom(32))
TYPE = "application/vnd.in-toto+json"


def compact(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def statement(*, passed: bool = True, **change: Any) -> dict[str, Any]:
    predicate = {
        "verifier": {"id": "https://c.example/"},
        "resourceUri": "https://c.example/models/credit-scoring/14#environment=prod-uae",
        "verificationResult": "PASSED" if passed else "FAILED",
        "verifiedLevels": ["COUNTERSIGN_GATE_ALLOWED" if passed else "FAILED"],
        "urn:countersign:decision:1": {
            "decision": "dec_1",
            "outcome": "allow" if passed else "deny",
            "action": "promote",
            "environment": "prod-uae",
            "subject_digest": "sha256:" + "b" * 64,
        },
        **change,
    }
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "credit-scoring/14", "digest": {"sha256": "a" * 64}}],
        "predicateType": "https://slsa.dev/verification_summary/v1",
        "predicate": predicate,
    }


def envelope(told: object, key: SigningKey = KEY, *, kid: str = "", kind: str = TYPE) -> dict[str, Any]:
    payload = compact(told)
    signature = base64.b64encode(key.sign(kind, payload)).decode()
    signatures = [{"keyid": kid or key.kid, "sig": signature}]
    return {"payload": base64.b64encode(payload).decode(), "payloadType": kind, "signatures": signatures}


def jwk(key: SigningKey, **more: object) -> dict[str, Any]:
    return {"kty": "OKP", "crv": "Ed25519", "x": key.public_key, "kid": key.kid, "use": "sig", "alg": "EdDSA", **more}


def permit(key: SigningKey = KEY, *, lasts: timedelta = timedelta(hours=1), **change: str) -> str:
    now = datetime.now(UTC)
    told = {
        "action": "promote",
        "decision": "dec_1",
        "digest": DIGEST,
        "environment": "prod-uae",
        "subject_digest": "sha256:" + "b" * 64,
        "version": "credit-scoring/14",
        "issued_at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "expires_at": f"{now + lasts:%Y-%m-%dT%H:%M:%SZ}",
        **change,
    }
    return permit_tokens.write(told, key)


@pytest.fixture
def jwks(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_bytes(compact({"keys": [jwk(KEY)]}))
    return path


def verified(folder: Path, jwks: Path, content: object, *more: str) -> CompletedProcess[str]:
    file = folder / "attestation.json"
    file.write_bytes(content if isinstance(content, bytes) else compact(content))
    return run("verify", str(file), "--key", str(jwks), *more)


def test_what_holds_and_passed_is_0_and_what_holds_and_failed_is_1(tmp_path: Path, jwks: Path) -> None:
    more = ("--digest", DIGEST, "--environment", "prod-uae", "--decision", "dec_1", "--verifier", "https://c.example")
    done = verified(tmp_path, jwks, envelope(statement()), *more)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[:2] == [
        "PASSED  credit-scoring/14 -> prod-uae (promote)  dec_1",
        f"  files {DIGEST}",
    ]
    failed = verified(tmp_path, jwks, envelope(statement(passed=False)), "--output", "json")
    told = json.loads(failed.stdout)
    assert (failed.returncode, told["exit_code"], told["result"], told["verified"]) == (1, 1, "FAILED", True)


@pytest.mark.parametrize(
    "more",
    [
        ("--digest", "sha256:" + "0" * 64),
        ("--environment", "staging"),
        ("--decision", "dec_2"),
        ("--verifier", "https://other.example"),
    ],
)
def test_an_attestation_of_something_else_is_6(tmp_path: Path, jwks: Path, more: tuple[str, str]) -> None:
    done = verified(tmp_path, jwks, envelope(statement()), *more)
    assert (done.returncode, done.stdout) == (6, "")
    assert more[1].removesuffix("/") in done.stderr


def _swapped() -> dict[str, Any]:
    return {**envelope(statement()), "payload": envelope(statement(passed=False))["payload"]}


ATTACKS: dict[str, object] = {
    "another key": envelope(statement(), OTHER),
    "another key under our name": envelope(statement(), OTHER, kid=KEY.kid),
    "another payload": _swapped(),
    "a permit's signature": envelope(statement(), kind="application/vnd.countersign.permit+json"),
    "a plain signature": {
        **envelope(statement()),
        "signatures": [{"keyid": KEY.kid, "sig": base64.b64encode(KEY.private.sign(compact(statement()))).decode()}],
    },
    "an algorithm of its own": {**envelope(statement()), "alg": "none"},
    "no signature": {**envelope(statement()), "signatures": []},
    "an empty signature": {**envelope(statement()), "signatures": [{"keyid": KEY.kid, "sig": ""}]},
    "two signatures": {**envelope(statement()), "signatures": envelope(statement())["signatures"] * 2},
    "alg none": {**envelope(statement()), "signatures": [{"keyid": KEY.kid, "sig": "", "alg": "none"}]},
    "a list": [],
    "null": None,
    "text": "PASSED",
    "not JSON": b"{",
    "not UTF-8": b"\xff\xfe",
    "nothing": b"",
    "deep": b"[" * 100_000,
    "huge": b" " * 4_000_001,
    "twice the same name": compact(envelope(statement()))[:-1] + b',"payloadType":"application/vnd.in-toto+json"}',
    "not base64": {**envelope(statement()), "payload": "%%%"},
    "base64 with a line break": {**envelope(statement()), "payload": envelope(statement())["payload"] + "\n"},
    "yes and no at once": envelope(statement(verifiedLevels=["FAILED"])),
    "a yes that was a no": envelope(statement(passed=False, verificationResult="PASSED")),
    "no result": envelope(statement(verificationResult=None)),
    "another predicate": envelope({**statement(), "predicateType": "https://slsa.dev/provenance/v1"}),
    "no subject": envelope({**statement(), "subject": []}),
    "a statement that is a list": envelope([]),
    "a predicate that is text": envelope({**statement(), "predicate": "PASSED"}),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_what_does_not_hold_is_6_with_a_sentence(tmp_path: Path, jwks: Path, name: str) -> None:
    done = verified(tmp_path, jwks, ATTACKS[name])
    assert (done.returncode, done.stdout) == (6, ""), name
    assert done.stderr.startswith("countersign: ")
    assert "Unforeseen" not in done.stderr


def test_no_byte_of_an_attestation_can_be_changed() -> None:
    data, keys = compact(envelope(statement())), {KEY.kid: signed.Key(KEY.kid, _raw(KEY), None)}
    assert attest.opened(data, keys)[1].passed
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 7
        with pytest.raises((Stop, signed.Unclear)):
            attest.opened(bytes(changed), keys)


def _raw(key: SigningKey) -> bytes:
    return key.private.public_key().public_bytes_raw()


def test_files_that_cannot_be_used_are_wrong_usage(tmp_path: Path, jwks: Path) -> None:
    file = tmp_path / "attestation.json"
    assert run("verify", str(file), "--key", str(jwks)).returncode == 2
    file.write_bytes(compact(envelope(statement())))
    assert run("verify", str(file)).returncode == 2
    assert run("verify", "--key", str(jwks)).returncode == 2
    assert run("verify", str(file), "--key", str(tmp_path / "absent.json")).returncode == 2
    for content in (b"", b"{}", b'{"keys": []}', b'{"keys": {}}', b"[" * 100_000, compact({"keys": [{"kty": "RSA"}]})):
        jwks.write_bytes(content)
        done = run("verify", str(file), "--key", str(jwks))
        assert (done.returncode, "JWKS" in done.stderr) == (2, True), content[:40]


def test_a_key_under_another_name_is_6_and_keys_of_other_kinds_are_passed_over(tmp_path: Path, jwks: Path) -> None:
    jwks.write_bytes(compact({"keys": [{**jwk(OTHER), "kid": KEY.kid}]}))
    done = verified(tmp_path, jwks, envelope(statement(), OTHER, kid=KEY.kid))
    assert (done.returncode, "another name" in done.stderr) == (6, True)
    confusing = [{"kty": "oct", "kid": "x", "k": "AA"}, jwk(OTHER, use="enc"), jwk(OTHER, alg="HS256"), jwk(KEY)]
    jwks.write_bytes(compact({"keys": confusing}))
    assert verified(tmp_path, jwks, envelope(statement())).returncode == 0
    assert verified(tmp_path, jwks, envelope(statement(), OTHER)).returncode == 6


def test_a_thumbprint_is_enough_when_the_server_can_be_asked(tmp_path: Path) -> None:
    file = tmp_path / "attestation.json"
    file.write_bytes(compact(envelope(statement())))
    with serving(Gate(answer={"keys": [jwk(OTHER), jwk(KEY)]})) as gate:
        server = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
        assert run("verify", str(file), "--key", KEY.kid, **server).returncode == 0
        assert gate.received[0].path == "/.well-known/countersign-keys.json"
        assert run("verify", str(file), "--key", OTHER.kid, **server).returncode == 6
        assert run("verify", str(file), "--key", "A" * 43, **server).returncode == 6
        gate.answer = {"keys": [{**jwk(OTHER), "kid": KEY.kid}]}
        assert run("verify", str(file), "--key", KEY.kid, **server).returncode == 6
    down = {"COUNTERSIGN_URL": f"http://127.0.0.1:{free_port()}", "COUNTERSIGN_TOKEN": "t"}
    assert run("verify", str(file), "--key", KEY.kid, **down).returncode == 4


def test_an_attestation_is_fetched_and_kept_as_it_came(tmp_path: Path, jwks: Path) -> None:
    file = tmp_path / "dec.json"
    words = ("attest", "--decision", "dec_1", "--out", str(file))
    with serving(Gate(answer=envelope(statement(passed=False)))) as gate:
        server = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
        done = run(*words, "--key", str(jwks), **server)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("ATTESTED  FAILED  credit-scoring/14")
        assert gate.received[0].path == "/api/v1/decisions/dec_1/attestation"
        assert file.read_bytes() == compact(gate.answer)
        assert run(*words, **server).returncode == 2, "it exists"
        file.unlink()
        gate.answer = envelope(statement(), OTHER)
        assert run(*words, "--key", str(jwks), **server).returncode == 6
        other = ("attest", "--decision", "dec_2", "--out", str(file))
        assert run(*other, **server).returncode == 6
        gate.answer = {"ok": True}
        assert run(*words, **server).returncode == 6
        gate.status, gate.answer = 503, {"status": 503, "code": "attestation.key", "detail": "No key."}
        assert run(*words, **server).returncode == 4
    assert not file.exists()


def permitted(jwks: Path, text: str, *more: str) -> CompletedProcess[str]:
    return run("permit", "verify", "--permit", text, "--key", str(jwks), *more)


def test_a_permit_holds_until_its_time_is_over(jwks: Path) -> None:
    done = permitted(jwks, permit(), "--digest", DIGEST, "--environment", "prod-uae", "--decision", "dec_1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("HOLDS  credit-scoring/14 -> prod-uae (promote)  dec_1\n")
    over = permitted(jwks, permit(lasts=timedelta(seconds=-1)))
    assert (over.returncode, "expired" in over.stderr) == (1, True)


def test_a_permit_that_does_not_hold_or_is_for_something_else_is_6(jwks: Path) -> None:
    good = permit()
    for text, more in (
        (permit(OTHER), ()),
        (good[:-2], ()),
        (good.replace(".", ".."), ()),
        ("cspermit_e30.AAAA", ()),
        ("csn_token", ()),
        ("cspermit_" + "A" * 50_000, ()),
        (permit(expires_at="tomorrow"), ()),
        (permit(expires_at="2099-01-01T00:00:00"), ()),
        (permit(issued_at="2099-01-01T00:00:00Z"), ()),
        (good, ("--digest", "sha256:" + "0" * 64)),
        (good, ("--environment", "staging")),
        (good, ("--decision", "dec_2")),
    ):
        done = permitted(jwks, text, *more)
        assert (done.returncode, done.stdout) == (6, ""), (text, more)
        assert "Unforeseen" not in done.stderr


def test_a_permit_that_a_retired_key_signed_after_its_end_is_6(jwks: Path) -> None:
    now = datetime.now(UTC)
    for last, code in ((now, 0), (now - timedelta(hours=1), 6)):
        jwks.write_bytes(compact({"keys": [jwk(KEY, status="retired", last_used_at=f"{last:%Y-%m-%dT%H:%M:%SZ}")]}))
        assert permitted(jwks, permit()).returncode == code


def test_no_byte_of_a_permit_can_be_changed() -> None:
    text, keys = permit(), {KEY.kid: signed.Key(KEY.kid, _raw(KEY), None)}
    assert permits.opened(text, keys)[0]["decision"] == "dec_1"
    for position in range(len(text)):
        changed = text[:position] + chr(ord(text[position]) ^ 1 << position % 7) + text[position + 1 :]
        with pytest.raises((Stop, signed.Unclear)):
            permits.opened(changed, keys)


def test_the_permit_of_a_saved_answer_is_verified_and_used(tmp_path: Path, jwks: Path) -> None:
    saved = tmp_path / "answer.json"
    saved.write_text(json.dumps({"decision_id": "dec_1", "permit": {"secret": permit()}}))
    assert run("permit", "verify", "--answer", str(saved), "--key", str(jwks)).returncode == 0
    told = {"decision_id": "dec_1", "environment": "prod-uae", "consumed_at": "2026-11-23T00:00:00Z"}
    with serving(Gate(answer=told)) as gate:
        server = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
        words = ("permit", "consume", "--answer", str(saved), "--environment", "prod-uae", "--digest", DIGEST)
        done = run(*words, **server)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "USED  permit of dec_1 in prod-uae at 2026-11-23T00:00:00Z\n"
        assert gate.received[0].path == "/api/v1/permits/dec_1/consume"
        assert gate.received[0].body["digest"] == DIGEST
        ci = {"GITHUB_RUN_ID": "9", "GITHUB_JOB": "deploy"}
        run(*words, **server, **ci)
        run(*words, **server, **ci)
        keys = [one.headers["Idempotency-Key"] for one in gate.received]
        assert len(set(keys)) == 3, "a retried step asks anew and is refused"
        for answer in (
            {},
            {**told, "consumed_at": None},
            {**told, "decision_id": "dec_2"},
            {**told, "environment": "x"},
        ):
            gate.answer = answer
            assert run(*words, **server).returncode == 4
        gate.status, gate.answer = 409, {"status": 409, "code": "permit.used", "detail": "Used."}
        assert run(*words, **server).returncode == 1
        gate.status, gate.answer = 200, told
        assert run(*words[:2], "--environment", "prod-uae", **server).returncode == 2
    saved.write_text("[]")
    assert run(*words, **server).returncode == 2
    assert run(*words, COUNTERSIGN_URL=f"http://127.0.0.1:{free_port()}", COUNTERSIGN_TOKEN="t").returncode == 2


def test_a_flag_that_is_no_permit_never_reaches_the_screen_as_it_is(jwks: Path) -> None:
    done = permitted(jwks, permit(environment="\x1b[2Jprod"), "--environment", "prod-uae")
    assert done.returncode == 6
    assert "\x1b" not in done.stderr
