"""``countersign policy lint``, ``test``, ``draft`` and ``backtest``."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from tests.cli.gate import Gate, run, serving

FINE = {"pack": "ksa-pdpl", "version": 2, "digest": "sha256:1"}
RUNNING = {"id": 7, "state": "requested"}
FLIP = {"decision": "dec_1", "version": "credit/3", "environment": "prod", "then": "allow", "now": "deny", "rules": []}
FOUND = {
    "id": 7,
    "state": "finished",
    "numbers": {"decisions": 9, "flips": 1, "left_out": 0, "would_fall": 2},
    "result": {"flips": [FLIP]},
}


HOLDS: dict[str, Any] = {"name": "At home", "line": 9, "column": 5, "holds": True, "expectations": []}
FAILS: dict[str, Any] = {
    "name": "Abroad",
    "line": 12,
    "column": 5,
    "holds": False,
    "expectations": [
        {
            "rule": "SA-RES-001",
            "line": 14,
            "column": 9,
            "holds": False,
            "expected": {"outcome": "pass", "failed": None},
            "found": {"outcome": "fail", "failed": ["in_region"], "why": "loans is in \x1b[2JFrankfurt"},
        }
    ],
}


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    path = tmp_path / "pack.yaml"
    path.write_text("pack: ksa-pdpl", encoding="utf-8")
    return path


def asked(gate: Gate, *words: str) -> CompletedProcess[str]:
    return run("policy", *words, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_a_pack_is_sent_as_it_is(pack: Path) -> None:
    with serving(Gate(answer=FINE)) as gate:
        done = asked(gate, "lint", "--file", str(pack))
        assert (done.returncode, done.stdout.strip()) == (0, "FINE  ksa-pdpl v2  sha256:1")
        assert (gate.received[0].path, gate.received[0].body) == ("/api/v1/policies/lint", {"text": "pack: ksa-pdpl"})
        asked(gate, "draft", "--file", str(pack), "--reason", "Stricter.")
        assert gate.received[1].body == {"text": "pack: ksa-pdpl", "reason": "Stricter."}


def test_mistakes_of_the_pack_are_usage_and_told(pack: Path) -> None:
    problem = {"code": "pack.invalid", "detail": "The pack has 1 mistake: line 3, column 5: \x1b[2J", "status": 400}
    with serving(Gate(answer=problem, status=400)) as gate:
        done = asked(gate, "lint", "--file", str(pack))
        assert done.returncode == 2
        assert "line 3, column 5" in done.stderr
        assert "\x1b" not in done.stderr


def test_cases_that_hold_are_zero_and_one_that_does_not_is_one_with_a_table(pack: Path) -> None:
    with serving(Gate(answer={**FINE, "holding": 1, "failing": 0, "cases": [HOLDS]})) as gate:
        done = asked(gate, "test", str(pack))
        assert (done.returncode, done.stdout.strip()) == (0, "HOLD  ksa-pdpl v2  1 of 1 cases hold")
        assert (gate.received[0].path, gate.received[0].body) == ("/api/v1/policies/test", {"text": "pack: ksa-pdpl"})
    with serving(Gate(answer={**FINE, "holding": 1, "failing": 1, "cases": [HOLDS, FAILS]})) as gate:
        done = asked(gate, "test", str(pack))
        assert done.returncode == 1
        head, columns, row = done.stdout.splitlines()
        assert head == "FAIL  ksa-pdpl v2  1 of 2 cases hold"
        assert columns.split() == ["LINE", "CASE", "RULE", "EXPECTED", "FOUND"]
        assert " ".join(row.split()) == "14 Abroad SA-RES-001 pass fail (in_region): loans is in ?[2JFrankfurt"
        assert "At home" not in done.stdout
        told = json.loads(asked(gate, "test", str(pack), "--output", "json").stdout)
        assert (told["exit_code"], told["cases"]) == (1, [HOLDS, FAILS])


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ({**FINE, "cases": []}, 2),
        (FINE, 4),
        ({**FINE, "cases": "all hold"}, 4),
        ({**FINE, "cases": [True]}, 4),
        ({**FINE, "failing": 0, "cases": [{"name": "x"}]}, 1),
        ({**FINE, "failing": 0, "cases": [{"name": "x", "holds": "true"}]}, 1),
    ],
)
def test_what_is_not_said_to_hold_does_not(pack: Path, answer: dict[str, object], code: int) -> None:
    with serving(Gate(answer=answer)) as gate:
        assert asked(gate, "test", str(pack)).returncode == code


def test_a_pack_that_cannot_be_read_is_usage(pack: Path, tmp_path: Path) -> None:
    problem = {"code": "pack.invalid", "detail": "The pack has 1 mistake: line 3, column 5: x", "status": 400}
    with serving(Gate(answer=problem, status=400)) as gate:
        assert asked(gate, "test", str(pack)).returncode == 2
        assert asked(gate, "test", str(tmp_path / "none")).returncode == 2
        missing = asked(gate, "test")
        assert (missing.returncode, "FILE" in missing.stderr) == (2, True)


def test_a_back_test_is_waited_for_and_told() -> None:
    answers: list[dict[str, Any]] = [RUNNING, FOUND]

    def next_answer(handler: BaseHTTPRequestHandler) -> None:
        body = json.dumps(answers.pop(0)).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serving(Gate(act=next_answer)) as gate:
        done = asked(gate, "backtest", "--pack", "ksa-pdpl", "--number", "2")
        assert [each.path for each in gate.received] == [
            "/api/v1/policies/ksa-pdpl/2/backtests",
            "/api/v1/backtests/7",
        ]
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "1 of 9 decisions would have come out otherwise, 2 deployments would become non-compliant, 0 left out",
        "  dec_1 credit/3 > prod: allow > deny (sign-offs)",
    ]


@pytest.mark.parametrize(
    ("answer", "wait"), [({"id": 7, "state": "failed", "error": "x"}, "5"), ({"id": 7}, "5"), (RUNNING, "0.1")]
)
def test_what_is_not_finished_is_not_success(answer: dict[str, object], wait: str) -> None:
    with serving(Gate(answer=answer)) as gate:
        assert asked(gate, "backtest", "--pack", "p", "--number", "2", "--wait", wait).returncode == 4


def test_missing_and_wrong_flags_are_usage(tmp_path: Path) -> None:
    with serving(Gate(answer=FINE)) as gate:
        assert asked(gate, "lint").returncode == 2
        assert asked(gate, "lint", "--file", str(tmp_path / "none")).returncode == 2
        assert asked(gate, "backtest", "--pack", "p", "--number", "two").returncode == 2
        assert gate.received == []
