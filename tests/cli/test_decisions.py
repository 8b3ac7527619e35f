"""``countersign decision get`` and ``decision replay``."""

from __future__ import annotations

import json
from subprocess import CompletedProcess

import pytest

from tests.cli.gate import Gate, run, serving

STORED = {
    "decision_id": "dec_1",
    "decision": "deny",
    "summary": "1 blocking finding: SA-RES-001",
    "findings": [
        {"rule": "SA-RES-001", "outcome": "fail", "message": "outside the Kingdom"},
        {"rule": "REG-001", "outcome": "pass", "message": "fine"},
    ],
}
SAME = {"decision_id": "dec_1", "same": True, "differences": []}
OTHER = {"decision_id": "dec_1", "same": False, "differences": ["The stored facts were \x1b[2Jchanged."]}
NOW = {"decision_id": "dec_1", "recorded": {"decision": "allow"}, "now": {"decision": "deny", "summary": "1 finding"}}


TO_PASS = {
    "decision_id": "dec_1",
    "ways": [
        {
            "temporary": False,
            "steps": ["Record a safe\x1b[2Jguard.", "Then these sign: 1 ML lead."],
            "actions": [{"who": ["dpo", "compliance_officer"], "where": "/transfers/new"}],
        },
        {"temporary": True, "steps": ["Waive X."], "actions": [{"who": ["dpo"], "where": "/waivers"}]},
    ],
    "stuck": [],
    "tried": 3,
    "computed": "Found by deciding again 52 times.",
}


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run("decision", *words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_a_decision_is_shown_with_what_blocks() -> None:
    with serving(Gate(answer=STORED)) as gate:
        done = asked(gate, "get", "--decision", "dec_1")
        assert done.stdout.splitlines() == [
            "DENY  dec_1  1 blocking finding: SA-RES-001",
            "  SA-RES-001: outside the Kingdom",
        ]
        assert (done.returncode, gate.received[0].path) == (0, "/api/v1/decisions/dec_1")
        assert json.loads(asked(gate, "get", "--decision", "dec_1", "--output", "json").stdout)["exit_code"] == 0


def test_the_same_is_0_and_anything_else_is_6() -> None:
    with serving(Gate(answer=SAME)) as gate:
        done = asked(gate, "replay", "--decision", "dec_1")
        assert (done.returncode, done.stdout.strip()) == (0, "SAME  dec_1 comes out as it was recorded")
        assert (gate.received[0].path, gate.received[0].body) == ("/api/v1/decisions/dec_1/replay", {"packs": "then"})
    with serving(Gate(answer=OTHER)) as gate:
        done = asked(gate, "replay", "--decision", "dec_1")
        assert done.returncode == 6
        assert done.stdout.startswith("NOT THE SAME  dec_1")
        assert "\x1b" not in done.stdout
        assert asked(gate, "replay", "--decision", "dec_1", "--output", "json").returncode == 6


def test_todays_policies_are_told_beside_those_of_then() -> None:
    with serving(Gate(answer=NOW)) as gate:
        done = asked(gate, "replay", "--decision", "dec_1", "--packs", "now")
        assert (done.returncode, gate.received[0].body) == (0, {"packs": "now"})
        assert done.stdout.splitlines()[0] == "dec_1: allow then, deny by today's policies"


@pytest.mark.parametrize("answer", [{}, {"same": "yes"}, {"same": 1}])
def test_an_answer_that_does_not_say_is_not_success(answer: dict[str, object]) -> None:
    with serving(Gate(answer=answer)) as gate:
        assert asked(gate, "replay", "--decision", "dec_1").returncode == 4
        assert asked(gate, "replay", "--decision", "dec_1", "--packs", "now").returncode == 4
        assert asked(gate, "get", "--decision", "dec_1").returncode == 4


def test_missing_and_unknown_flags_are_usage_and_the_number_cannot_leave_its_place() -> None:
    with serving(Gate(answer=SAME)) as gate:
        assert asked(gate, "replay").returncode == 2
        assert asked(gate, "replay", "--decision", "dec_1", "--packs", "tomorrow").returncode == 2
        assert gate.received == []
        asked(gate, "get", "--decision", "../../accounts?x=1")
        assert gate.received[0].path == "/api/v1/decisions/..%2F..%2Faccounts%3Fx%3D1"


def test_how_to_pass_is_a_numbered_list_with_who_and_where() -> None:
    with serving(Gate(answer=TO_PASS)) as gate:
        done = asked(gate, "ways", "--decision", "dec_1")
        assert (done.returncode, gate.received[0].path) == (0, "/api/v1/decisions/dec_1/ways-to-pass")
        assert [line for line in done.stdout.splitlines() if "guard" not in line] == [
            "TO PASS",
            "     dpo or compliance_officer  /transfers/new",
            "  2. Then these sign: 1 ML lead.",
            "OR FOR A TIME",
            "  1. Waive X.",
            "     dpo  /waivers",
            "Found by deciding again 52 times.",
        ]
        assert "\x1b" not in done.stdout
    stuck = {"ways": [], "stuck": [{"rule": "R-1", "message": "No.", "reason": "Nobody knows."}] * 21}
    with serving(Gate(answer=stuck)) as gate:
        lines = asked(gate, "ways", "--decision", "dec_1").stdout.splitlines()
        assert lines[:2] == ["NOTHING CURES", "  R-1: No.  Nobody knows."]
        assert lines[-1] == "  and 1 more (--output json)"
    with serving(Gate(answer={"ways": []})) as gate:
        assert asked(gate, "ways", "--decision", "dec_1").returncode == 4
