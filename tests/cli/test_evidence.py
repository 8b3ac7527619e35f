"""``countersign evidence list``, ``record`` and ``withdraw``."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.gate import Gate, run, serving

PIECE: dict[str, Any] = {
    "reference": "EV-2026-0001",
    "state": "active",
    "stale": [],
    "type": "fairness",
    "version": "version:credit-scoring/3",
    "environment": "prod-uae",
    "digest": "sha256:" + "d" * 64,
    "expires_at": "2099-01-01T00:00:00Z",
}
LINE = "EV-2026-0001  active  fairness  version:credit-scoring/3 in prod-uae  until 2099-01-01T00:00:00Z"
RECORD = ("evidence", "record", "--type", "fairness", "--model", "credit-scoring", "--version", "3")
RECORD += ("--title", "Groups", "--author", "Validation", "--issued", "2026-01-01T00:00:00Z")


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_the_list_is_filtered_and_says_where_it_goes_on() -> None:
    stale = {**PIECE, "stale": ["expired"], "environment": None, "expires_at": None}
    with serving(Gate(answer={"results": [PIECE, stale], "next": "http://x/?cursor=abc"})) as gate:
        words = ("--model", "credit-scoring", "--version", "3", "--type", "fairness")
        done = asked(gate, "evidence", "list", *words)
        assert done.stdout.splitlines() == [
            LINE,
            "EV-2026-0001  expired  fairness  version:credit-scoring/3  no end",
            "More: --cursor of http://x/?cursor=abc",
        ]
        assert gate.received[0].path == "/api/v1/evidence?version=version%3Acredit-scoring%2F3&type=fairness"


def test_the_document_stays_here_and_its_digest_is_sent(tmp_path: Path) -> None:
    document = tmp_path / "report.pdf"
    document.write_bytes(b"the report")
    with serving(Gate(answer=PIECE)) as gate:
        done = asked(gate, *RECORD, "--file", str(document), "--expires", "2099-01-01T00:00:00Z")
        assert (done.returncode, done.stdout.splitlines()) == (0, [LINE, f"  document {PIECE['digest']}"]), done.stderr
        assert gate.received[0].body == {
            "type": "fairness",
            "version": "version:credit-scoring/3",
            "digest": "sha256:" + hashlib.sha256(b"the report").hexdigest(),
            "title": "Groups",
            "author": "Validation",
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": "2099-01-01T00:00:00Z",
        }
        whole = asked(gate, *RECORD, "--document-digest", "sha256:x", "--output", "json")
        assert json.loads(whole.stdout) == {**PIECE, "exit_code": 0}


def test_a_signature_is_sent_as_the_bytes_that_were_signed(tmp_path: Path) -> None:
    envelope = tmp_path / "statement.json"
    envelope.write_bytes(b'{"payload":  "e30="}\n')
    with serving(Gate(answer={**PIECE, "signer": "fairness-lab"})) as gate:
        done = asked(gate, *RECORD, "--document-digest", "sha256:x", "--signature", str(envelope))
        assert done.returncode == 0, done.stderr
        assert base64.b64decode(gate.received[0].body["envelope"]) == envelope.read_bytes()


@pytest.mark.parametrize("size", [0, 256 * 1024 + 1])
def test_an_empty_or_huge_signature_is_never_sent_as_none(tmp_path: Path, size: int) -> None:
    envelope = tmp_path / "statement.json"
    envelope.write_bytes(b" " * size)
    with serving(Gate(answer=PIECE)) as gate:
        done = asked(gate, *RECORD, "--document-digest", "sha256:x", "--signature", str(envelope))
        assert (done.returncode, gate.received) == (2, [])
        assert "between 1 byte and 256 KiB" in done.stderr


def test_what_the_server_says_about_a_signature_reaches_the_pipeline(tmp_path: Path) -> None:
    envelope = tmp_path / "statement.json"
    envelope.write_bytes(b"{}")
    problem = {"title": "Bad input", "status": 400, "detail": "The envelope carries no signature."}
    with serving(Gate(status=400, answer=problem)) as gate:
        done = asked(gate, *RECORD, "--document-digest", "sha256:x", "--signature", str(envelope))
        assert done.returncode == 2, done.stdout
        assert "The envelope carries no signature." in done.stderr


def test_the_keys_are_listed() -> None:
    key = {"reference": "EK-2026-0001", "state": "active", "name": "lab", "fingerprint": "sha256:f", "types": ["dpia"]}
    with serving(Gate(answer={"results": [key], "next": None})) as gate:
        done = asked(gate, "evidence", "keys")
        assert done.stdout == "EK-2026-0001  active  lab  sha256:f  dpia\n", done.stderr
        assert gate.received[0].path == "/api/v1/evidence-keys"


def test_a_piece_is_withdrawn_with_a_reason() -> None:
    with serving(Gate(answer={**PIECE, "state": "withdrawn", "stale": ["withdrawn"]})) as gate:
        done = asked(gate, "evidence", "withdraw", "--reference", "EV/1", "--reason", "Wrong.")
        assert done.stdout.startswith("EV-2026-0001  withdrawn  fairness"), done.stderr
        assert (gate.received[0].path, gate.received[0].body) == (
            "/api/v1/evidence/EV%2F1/withdraw",
            {"reason": "Wrong."},
        )


@pytest.mark.parametrize(
    "words",
    [
        ("evidence", "withdraw", "--reference", "EV-1"),
        ("evidence", "list", "--model", "credit-scoring"),
        RECORD,
        (*RECORD, "--file", "/nowhere/report.pdf"),
        (*RECORD, "--file", "x", "--document-digest", "y"),
    ],
)
def test_wrong_usage_is_a_sentence_and_asks_nothing(words: tuple[str, ...]) -> None:
    with serving(Gate(answer=PIECE)) as gate:
        done = asked(gate, *words)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("countersign: ")
        assert not gate.received


@pytest.mark.parametrize("answer", [{"ok": True}, {"results": "none"}])
def test_an_answer_that_names_no_evidence_is_no_success(answer: dict[str, Any]) -> None:
    with serving(Gate(answer=answer)) as gate:
        words = (*RECORD, "--document-digest", "sha256:x") if "ok" in answer else ("evidence", "list")
        assert asked(gate, *words).returncode == 4
