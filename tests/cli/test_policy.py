"""``countersign policy lint``, ``draft`` and ``backtest``."""

from __future__ import annotations

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


def test_a_back_test_is_waited_for_and_told() -> None:
    answers: list[dict[str, Any]] = [RUNNING, FOUND]

    def next_answer(handler: BaseHTTPRequestHandler) -> None:
        import json

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
