"""``countersign transfers list``, ``get``, ``record``, ``approve`` and ``revoke``."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.gate import Gate, run, serving

SAFEGUARD: dict[str, Any] = {
    "reference": "TS-1",
    "status": "active",
    "type": "SCC",
    "law": "SA",
    "expires_at": "2099-01-01T00:00:00Z",
    "subjects": ["dataset:loans"],
    "regions": ["azure:germanywestcentral"],
    "document": "Clauses",
    "document_digest": None,
}
LINES = [
    "TS-1  active  SCC (SA)  until 2099-01-01T00:00:00Z",
    "  covers dataset:loans in azure:germanywestcentral",
    "  document Clauses (no digest)",
]
RECORD = ("transfers", "record", "--reference", "TS-1", "--type", "SCC", "--law", "SA", "--document", "Clauses")
RECORD += ("--subjects", "dataset:loans,environment:dr", "--regions", "azure:germanywestcentral")
RECORD += ("--expires", "2099-01-01T00:00:00Z")


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("get", "--reference", "TS-1"), "/api/v1/transfers/TS-1"),
        (("approve", "--reference", "TS-1", "--reason", "Read."), "/api/v1/transfers/TS-1/approve"),
        (("revoke", "--reference", "TS/1", "--reason", "Sold."), "/api/v1/transfers/TS%2F1/revoke"),
    ],
)
def test_one_safeguard_is_shown_and_kept_whole_as_json(words: tuple[str, ...], path: str) -> None:
    with serving(Gate(answer=SAFEGUARD)) as gate:
        done = asked(gate, "transfers", *words)
        assert (done.returncode, done.stdout.splitlines()) == (0, LINES), done.stderr
        assert gate.received[0].path == path
        whole = asked(gate, "transfers", *words, "--output", "json")
        assert json.loads(whole.stdout) == {**SAFEGUARD, "exit_code": 0}


def test_the_list_says_where_it_goes_on(tmp_path: Path) -> None:
    with serving(Gate(answer={"results": [SAFEGUARD], "next": "http://x/?cursor=abc"})) as gate:
        done = asked(gate, "transfers", "list", "--cursor", "a=b")
        assert done.stdout.splitlines() == [LINES[0], "More: --cursor of http://x/?cursor=abc"]
        assert gate.received[0].path == "/api/v1/transfers?cursor=a%3Db"


def test_the_digest_of_a_document_is_the_sha256_of_its_bytes(tmp_path: Path) -> None:
    document, elements = tmp_path / "clauses.pdf", tmp_path / "assessment.json"
    document.write_bytes(b"clauses")
    elements.write_text(json.dumps(dict.fromkeys("ABCDEF", "Looked at.")))
    with serving(Gate(answer=SAFEGUARD)) as gate:
        more = ("--file", str(document), "--assessed", "2026-01-01T00:00:00Z", "--assessment", str(elements))
        done = asked(gate, *RECORD, *more)
        assert done.returncode == 0, done.stderr
        sent = gate.received[0].body
        assert sent["document_digest"] == "sha256:" + hashlib.sha256(b"clauses").hexdigest()
        assert sent["subjects"] == ["dataset:loans", "environment:dr"]
        assert sent["assessment"]["F"] == "Looked at."


@pytest.mark.parametrize(
    "words",
    [
        ("transfers", "revoke", "--reference", "TS-1"),
        (*RECORD, "--file", "/nowhere/clauses.pdf"),
        (*RECORD, "--assessment", "/nowhere/assessment.json"),
        (*RECORD, "--file", "x", "--document-digest", "y"),
    ],
)
def test_wrong_usage_is_a_sentence_and_asks_nothing(words: tuple[str, ...]) -> None:
    with serving(Gate(answer=SAFEGUARD)) as gate:
        done = asked(gate, *words)
        assert done.returncode == 2, done.stdout
        assert done.stderr.startswith("countersign: ")
        assert not gate.received


def test_an_answer_that_names_no_safeguard_is_no_success() -> None:
    with serving(Gate(answer={"ok": True})) as gate:
        assert asked(gate, "transfers", "get", "--reference", "TS-1").returncode == 4
