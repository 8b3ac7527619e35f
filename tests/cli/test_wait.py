"""``countersign wait``, ``check --wait``, ``--no-assert`` and ``explain``: time that passes is never a yes."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.cli.gate import Gate, allowed, ask, denied, run, serving


@pytest.fixture
def gate() -> Iterator[Gate]:
    with serving(Gate(answer=_pending())) as served:
        yield served


def _pending(**changes: Any) -> dict[str, Any]:
    return denied(decision="pending", findings=[], summary="1 signature is missing", **changes)


def _sequence(gate: Gate, *answers: Any) -> None:
    """One answer after the other; None breaks the connection."""
    left = list(answers)

    def act(handler: BaseHTTPRequestHandler) -> None:
        answer = left.pop(0)
        if answer is None:
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    gate.act = act


def _wait(gate: Gate, *more: str) -> Any:
    values = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "cs_secret"}
    return run("wait", "--decision", "dec_1", *more, **values)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (allowed(decision_id="dec_2"), 0),
        (denied(decision_id="dec_2"), 1),
        (denied(decision="error", decision_id="dec_2"), 4),
        (allowed(decision_id="dec_2", valid_until="2020-01-01T00:00:00Z"), 4),
        (allowed(decision_id="dec_2", environment="staging"), 6),
        (b"<html>allow</html>", 4),
        (None, 4),
    ],
)
def test_check_that_waits_exits_as_what_comes_last(gate: Gate, last: Any, code: int) -> None:
    _sequence(gate, _pending(), last)
    done = ask(gate, "--wait", "30m")
    assert done.returncode == code, done.stderr
    assert [one.path for one in gate.received] == [
        "/api/v1/gate/checks",
        "/api/v1/gate/checks/dec_1/wait?timeout=50",
    ]


def test_the_newest_decision_is_the_one_that_is_waited_for(gate: Gate) -> None:
    _sequence(gate, _pending(), _pending(), _pending(decision_id="dec_2"), allowed(decision_id="dec_3"))
    assert _wait(gate, "--for", "20s").returncode == 0
    paths = [one.path.partition("?")[0] for one in gate.received]
    assert paths == [
        "/api/v1/decisions/dec_1",
        "/api/v1/gate/checks/dec_1/wait",
        "/api/v1/gate/checks/dec_1/wait",
        "/api/v1/gate/checks/dec_2/wait",
    ]


def test_time_that_is_over_exits_3(gate: Gate) -> None:
    done = _wait(gate, "--for", "1s")
    assert done.returncode == 3, done.stderr
    assert done.stdout.startswith("PENDING  credit-scoring/14")


def test_a_check_that_is_not_pending_does_not_wait(gate: Gate) -> None:
    gate.answer = denied()
    assert ask(gate, "--wait", "30m").returncode == 1
    assert len(gate.received) == 1


@pytest.mark.parametrize("time", ["soon", "-1", "0", "25h", "1.5m", "٣m"])
def test_a_time_that_is_none_exits_2(gate: Gate, time: str) -> None:
    assert ask(gate, "--wait", time).returncode == 2
    assert not gate.received


def test_the_saved_answer_of_a_wait_carries_the_permit(gate: Gate, tmp_path: Any) -> None:
    _sequence(gate, _pending(), allowed(decision_id="dec_2"))
    file = tmp_path / "answer.json"
    assert ask(gate, "--wait", "1m", "--save", str(file)).returncode == 0
    assert json.loads(file.read_text())["permit"]["secret"] == "csp_permit"


@pytest.mark.parametrize(("word", "code"), [("allow", 0), ("deny", 0), ("pending", 0), ("error", 4)])
def test_a_dry_run_that_asserts_nothing_exits_0_for_what_was_decided(gate: Gate, word: str, code: int) -> None:
    answer = allowed() if word == "allow" else denied(decision=word)
    gate.answer = {**answer, "decision_id": None, "mode": "dry_run"}
    assert ask(gate, "--dry-run", "--no-assert").returncode == code


def test_no_flag_turns_an_outage_into_success(gate: Gate) -> None:
    gate.status, gate.answer = 503, {"status": 503, "detail": "Cannot evaluate."}
    assert ask(gate, "--dry-run", "--no-assert").returncode == 4
    gate.status, gate.raw = 200, b"{}"
    assert ask(gate, "--dry-run", "--no-assert").returncode == 4


@pytest.mark.parametrize("flags", [["--no-assert"], ["--dry-run", "--wait", "5m"]])
def test_flags_that_do_not_go_together_exit_2(gate: Gate, flags: list[str]) -> None:
    assert ask(gate, *flags).returncode == 2
    assert not gate.received


@pytest.mark.parametrize("shape", ["table", "json", "sarif", "junit", "md", "github"])
def test_a_recorded_decision_is_explained_in_every_shape(gate: Gate, shape: str) -> None:
    gate.answer = denied()
    values = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "cs_secret"}
    done = run("explain", "--decision", "dec_1", "--output", shape, **values)
    assert done.returncode == 0, done.stderr
    assert "dataset:loans" in done.stdout.replace("\\", "")
    assert gate.received[0].path == "/api/v1/decisions/dec_1/explain?format=json"


def test_what_is_not_that_decision_is_not_explained(gate: Gate) -> None:
    values = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "cs_secret"}
    assert run("explain", "--decision", "dec_9", **values).returncode == 4
