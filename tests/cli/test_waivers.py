"""``countersign waivers list``, ``get``, ``propose``, ``revoke``; and how a report shows an excused finding."""

from __future__ import annotations

import json
from subprocess import CompletedProcess
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.cli.gate import Gate, allowed, ask, finding, run, serving

WAIVER: dict[str, Any] = {
    "reference": "WV-2026-0001",
    "state": "active",
    "standing": "expiring",
    "pack": "lab-runs",
    "rule": "LAB-RUN-001",
    "subjects": ["version:credit-scoring/14"],
    "model": {"name": "credit-scoring", "version": "14"},
    "environment": "staging",
    "reason": "The laptop is gone.",
    "control": "Trained again by Friday.",
    "ends_at": "2099-01-01T00:00:00Z",
}
LINES = [
    "WV-2026-0001  expiring  LAB-RUN-001  credit-scoring/14 -> staging  until 2099-01-01T00:00:00Z",
    "  about version:credit-scoring/14 by lab-runs",
    "  why: The laptop is gone.",
    "  instead: Trained again by Friday.",
]
PROPOSE = ("waivers", "propose", "--model", "credit-scoring", "--version", "14", "--environment", "staging")
PROPOSE += ("--pack", "lab-runs", "--rule", "LAB-RUN-001", "--subjects", "version:credit-scoring/14,dataset:loans")
PROPOSE += ("--reason", "The laptop is gone.", "--control", "Trained again by Friday.")


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run(*words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("get", "--reference", "WV-2026-0001"), "/api/v1/waivers/WV-2026-0001"),
        (("revoke", "--reference", "WV/1", "--reason", "Not kept."), "/api/v1/waivers/WV%2F1/revoke"),
    ],
)
def test_one_waiver_is_shown_and_kept_whole_as_json(words: tuple[str, ...], path: str) -> None:
    with serving(Gate(answer=WAIVER)) as gate:
        done = asked(gate, "waivers", *words)
        assert (done.returncode, done.stdout.splitlines()) == (0, LINES), done.stderr
        assert gate.received[0].path == path
        whole = asked(gate, "waivers", *words, "--output", "json")
        assert json.loads(whole.stdout) == {**WAIVER, "exit_code": 0}


def test_a_proposal_is_sent_whole_and_says_that_it_excuses_nothing_yet() -> None:
    with serving(Gate(answer={**WAIVER, "state": "proposed", "standing": "proposed"})) as gate:
        done = asked(gate, *PROPOSE, "--ends", "2099-01-01T00:00:00Z")
        assert done.returncode == 0, done.stderr
        assert "  excuses nothing until a second person approves it" in done.stdout
        sent = gate.received[0].body
        assert sent["model"] == {"name": "credit-scoring", "version": "14"}
        assert sent["subjects"] == ["version:credit-scoring/14", "dataset:loans"]
        assert "starts_at" not in sent


def test_the_list_says_where_it_goes_on() -> None:
    with serving(Gate(answer={"results": [WAIVER], "next": "http://x/?cursor=abc"})) as gate:
        done = asked(gate, "waivers", "list", "--cursor", "a=b")
        assert done.stdout.splitlines() == [LINES[0], "More: --cursor of http://x/?cursor=abc"]
        assert gate.received[0].path == "/api/v1/waivers?cursor=a%3Db"


@pytest.mark.parametrize("words", [PROPOSE, ("waivers", "revoke", "--reference", "WV-1")])
def test_wrong_usage_is_a_sentence_and_asks_nothing(words: tuple[str, ...]) -> None:
    with serving(Gate(answer=WAIVER)) as gate:
        done = asked(gate, *words)
        assert (done.returncode, gate.received) == (2, [])
        assert done.stderr.startswith("countersign: ")


def test_an_answer_that_names_no_waiver_is_no_success() -> None:
    with serving(Gate(answer={"ok": True})) as gate:
        assert asked(gate, "waivers", "get", "--reference", "WV-1").returncode == 4


def test_a_refusal_by_the_product_is_a_denial() -> None:
    problem = {"status": 422, "code": "waiver.not_waivable", "detail": "The rule cannot be waived."}
    with serving(Gate(status=422, answer=problem)) as gate:
        assert asked(gate, *PROPOSE, "--ends", "2099-01-01T00:00:00Z").returncode == 1


EXCUSED = allowed(findings=[finding(waived_by="WV-2026-0001"), finding(outcome="pass", message="fine", remedy="")])


def test_an_allow_with_an_excused_finding_is_one_and_says_so() -> None:
    with serving(Gate(answer=EXCUSED)) as gate:
        done = ask(gate)
        assert done.returncode == 0, done.stderr
        assert "WAIVED SA-RES-001" in done.stdout
        assert "[excused by WV-2026-0001]" in done.stdout


@pytest.mark.parametrize("change", [{"outcome": "error"}, {"waived_by": ""}, {"waived_by": True}, {"outcome": "odd"}])
def test_an_allow_with_a_finding_that_nothing_excuses_is_none(change: dict[str, Any]) -> None:
    found = finding(**{"waived_by": "WV-2026-0001", **change})
    with serving(Gate(answer=allowed(findings=[found]))) as gate:
        assert ask(gate).returncode == 4


def test_an_excused_finding_is_no_failure_in_any_report() -> None:
    with serving(Gate(answer=EXCUSED)) as gate:
        suite = ElementTree.fromstring(ask(gate, "--output", "junit").stdout)
        assert (suite.attrib["failures"], suite.attrib["errors"]) == ("0", "0")
        result = json.loads(ask(gate, "--output", "sarif").stdout)["runs"][0]["results"][0]
        assert result["suppressions"] == [
            {"kind": "external", "status": "accepted", "justification": "Excused by WV-2026-0001"}
        ]
        assert "::error" not in ask(gate, "--output", "github").stdout
