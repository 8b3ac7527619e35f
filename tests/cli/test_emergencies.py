"""``countersign emergency list`` and ``get``; and how the reports show what an emergency went without."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.gate import Gate, allowed, ask, finding, run, serving

EMERGENCY: dict[str, Any] = {
    "reference": "EM-2026-0001",
    "kind": "break_glass",
    "state": "confirmed",
    "standing": "overdue",
    "model": {"name": "credit-scoring", "version": "14"},
    "environment": "prod-uae",
    "incident": "INC-204",
    "reason": "It refuses everybody over sixty.",
    "skipped": [{"rule": "PROD-TWO-PEOPLE", "role": "ml_lead", "n": 1}],
    "declared_by": "user:a",
    "confirmed_by": "user:b",
    "starts_at": "2026-11-01T00:00:00Z",
    "ends_at": "2026-11-01T04:00:00Z",
    "review_due_at": "2026-11-03T04:00:00Z",
}
LINES = [
    "EM-2026-0001  overdue  credit-scoring/14 -> prod-uae  INC-204  review due 2026-11-03T04:00:00Z",
    "  why: It refuses everybody over sixty.",
    "  without: 1 ml_lead",
    "  declared by user:a, confirmed by user:b",
    "  from 2026-11-01T00:00:00Z to 2026-11-01T04:00:00Z",
]


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_one_emergency_is_shown_and_kept_whole_as_json() -> None:
    with serving(Gate(answer=EMERGENCY)) as gate:
        done = asked(gate, "emergency", "get", "--reference", "EM/1")
        assert (done.returncode, done.stdout.splitlines()) == (0, LINES), done.stderr
        assert gate.received[0].path == "/api/v1/emergencies/EM%2F1"
        whole = asked(gate, "emergency", "get", "--reference", "EM/1", "--output", "json")
        assert json.loads(whole.stdout) == {**EMERGENCY, "exit_code": 0}


def test_the_list_says_where_it_goes_on() -> None:
    with serving(Gate(answer={"results": [EMERGENCY], "next": "http://x/?cursor=abc"})) as gate:
        done = asked(gate, "emergency", "list")
        assert done.stdout.splitlines() == [LINES[0], "More: --cursor of http://x/?cursor=abc"]


@pytest.mark.parametrize("answer", [{}, {"reference": "EM-1"}, {**EMERGENCY, "skipped": 7, "model": None}])
def test_an_answer_that_names_nothing_is_no_answer(answer: dict[str, Any]) -> None:
    with serving(Gate(answer=answer)) as gate:
        done = asked(gate, "emergency", "get", "--reference", "EM-1")
        assert done.returncode == (0 if answer.get("state") else 4), done.stderr


def test_sarif_holds_what_was_skipped_as_suppressed() -> None:
    skipped = finding(rule="PROD-TWO-PEOPLE", outcome="fail", severity="block", waived_by="EM-2026-0001", pack="")
    with serving(Gate(answer=allowed(findings=[skipped]))) as gate:
        done = ask(gate, "--output", "sarif")
        assert done.returncode == 0, done.stderr
        (result,) = json.loads(done.stdout)["runs"][0]["results"]
        assert result["suppressions"][0]["justification"].find("EM-2026-0001") >= 0
