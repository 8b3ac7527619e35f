"""``countersign check``: only an explicit, consistent allow exits 0."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from tests.cli.gate import CLI, DIGEST, Gate, allowed, ask, denied, finding, free_port, run, serving


@pytest.fixture
def gate() -> Iterator[Gate]:
    with serving(Gate(answer=allowed())) as served:
        yield served


@pytest.mark.parametrize(("word", "code"), [("deny", 1), ("pending", 3), ("error", 4)])
def test_every_word_but_allow_has_an_exit_code_of_its_own(gate: Gate, word: str, code: int) -> None:
    gate.answer = denied(decision=word)
    assert ask(gate).returncode == code


def test_an_allow_exits_0(gate: Gate) -> None:
    done = ask(gate)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("ALLOWED  credit-scoring/14 -> prod-uae (promote)")


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "Allow"},
        {"decision": "allowed"},
        {"decision": True},
        {"decision": None},
        {"decision": ["allow"]},
        {"decision_id": None},
        {"decision_id": ""},
        {"findings": None},
        {"findings": [finding()]},
        {"findings": [finding(outcome="error")]},
        {"findings": [finding(outcome="perhaps")]},
        {"signoff": {"state": "awaiting_signoff", "missing": [{"role": "dpo", "n": 1}]}},
        {"valid_until": None},
        {"valid_until": ""},
        {"valid_until": "soon"},
        {"valid_until": "2999-12-01T00:00:00"},
        {"valid_until": 32503680000},
        {"valid_until": "2020-01-01T00:00:00Z"},
    ],
)
def test_an_answer_that_is_not_understood_exits_4(gate: Gate, change: dict[str, Any]) -> None:
    gate.answer = allowed(**change)
    assert ask(gate).returncode == 4


@pytest.mark.parametrize(
    "raw", [b"", b"<html>allow</html>", b'{"decision": "allow"', b"[]", b'"allow"', b"null", b"[" * 100_000]
)
def test_a_body_that_is_no_json_object_exits_4(gate: Gate, raw: bytes) -> None:
    gate.raw = raw
    assert ask(gate).returncode == 4


@pytest.mark.parametrize("change", [{"environment": "staging"}, {"action": "deploy"}, {"model": {"version": "13"}}])
def test_an_answer_about_something_else_exits_6(gate: Gate, change: dict[str, Any]) -> None:
    gate.answer = allowed(**change)
    assert ask(gate).returncode == 6


def test_another_digest_than_asked_exits_6(gate: Gate) -> None:
    assert ask(gate, "--digest", DIGEST).returncode == 0
    assert ask(gate, "--digest", "sha256:" + "9" * 64).returncode == 6


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, 5), (403, 5), (400, 2), (404, 2), (409, 4), (422, 4), (429, 4), (500, 4), (502, 4), (503, 4), (418, 4)],
)
def test_a_problem_of_the_server_has_its_exit_code(gate: Gate, status: int, code: int) -> None:
    gate.status, gate.answer = status, {"status": status, "detail": "Because of this.", "code": "x"}
    done = ask(gate)
    assert done.returncode == code
    assert "Because of this." in done.stderr


@pytest.mark.parametrize("status", [400, 404])
def test_an_error_page_that_is_not_from_countersign_exits_4(gate: Gate, status: int) -> None:
    gate.status, gate.raw = status, b"<h1>nginx</h1>"
    assert ask(gate).returncode == 4


@pytest.mark.parametrize("code", ["version.digest_differs", "target.differs", "rollout.differs"])
def test_what_disagrees_with_the_registry_or_the_promotion_exits_6(gate: Gate, code: str) -> None:
    gate.status, gate.answer = 409, {"status": 409, "detail": "It differs.", "code": code}
    assert ask(gate).returncode == 6


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_and_exits_4(gate: Gate, status: int) -> None:
    gate.status, gate.headers = status, {"Location": f"{gate.url}/elsewhere"}
    assert ask(gate).returncode == 4
    assert len(gate.received) == 1


def test_nothing_listening_exits_4() -> None:
    done = ask(Gate(url=f"http://127.0.0.1:{free_port()}"))
    assert done.returncode == 4
    assert "did not answer" in done.stderr


def test_a_name_that_does_not_resolve_exits_4() -> None:
    assert ask(Gate(url="http://nowhere.invalid")).returncode == 4


def test_silence_exits_4(gate: Gate) -> None:
    def wait(handler: BaseHTTPRequestHandler) -> None:
        handler.connection.settimeout(10)
        handler.connection.recv(1)

    gate.act = wait
    assert ask(gate, "--timeout", "0.3").returncode == 4


def test_an_answer_that_breaks_off_exits_4(gate: Gate) -> None:
    def half(handler: BaseHTTPRequestHandler) -> None:
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 999\r\n\r\n{"decision": "allow"}')
        handler.wfile.flush()
        handler.connection.shutdown(socket.SHUT_RDWR)

    gate.act = half
    assert ask(gate).returncode == 4


def test_no_http_at_all_exits_4(gate: Gate) -> None:
    gate.act = lambda handler: (handler.wfile.write(b"allow\n"), handler.connection.shutdown(socket.SHUT_RDWR), None)[2]
    assert ask(gate).returncode == 4


def test_the_request_is_what_the_gate_expects(gate: Gate) -> None:
    done = ask(gate, "--digest", DIGEST, "--strategy", "canary", "--weight", "25", "--request-id", "req-1")
    assert done.returncode == 0
    (got,) = gate.received
    assert got.path == "/api/v1/gate/checks"
    assert got.headers["Authorization"] == "Bearer cs_secret"
    assert got.headers["X-Request-Id"] == "req-1"
    assert got.headers["Idempotency-Key"]
    assert got.body == {
        "model": {"name": "credit-scoring", "version": "14", "digest": DIGEST},
        "environment": "prod-uae",
        "action": "promote",
        "mode": "enforce",
        "rollout": {"strategy": "canary", "weight": 25},
    }


def test_each_question_is_asked_anew_even_in_one_ci_run(gate: Gate) -> None:
    ask(gate, GITHUB_RUN_ID="1", GITHUB_SHA="abc", GITHUB_REPOSITORY="a/b")
    ask(gate, GITHUB_RUN_ID="1")
    ask(gate, "--idempotency-key", "mine")
    keys = [one.headers["Idempotency-Key"] for one in gate.received]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"
    assert gate.received[0].body["ci"] == {"sha": "abc", "run_url": "https://github.com/a/b/actions/runs/1"}


def test_a_dry_run_returns_the_verdict(gate: Gate) -> None:
    gate.answer = denied(decision_id=None, mode="dry_run", links={"html": None})
    done = ask(gate, "--dry-run")
    assert done.returncode == 1
    assert "nothing was recorded" in done.stdout
    assert gate.received[0].body["mode"] == "dry_run"
    gate.answer = allowed(decision_id=None)
    assert ask(gate, COUNTERSIGN_DRY_RUN="true").returncode == 0


def test_every_flag_can_be_an_environment_variable(gate: Gate) -> None:
    gate.answer = allowed(action="deploy")
    done = run(
        "check",
        COUNTERSIGN_URL=gate.url + "/",
        COUNTERSIGN_TOKEN="t",
        COUNTERSIGN_MODEL="credit-scoring",
        COUNTERSIGN_VERSION="14",
        COUNTERSIGN_ENVIRONMENT="prod-uae",
        COUNTERSIGN_ACTION="deploy",
        COUNTERSIGN_OUTPUT="json",
        COUNTERSIGN_TIMEOUT="9",
        COUNTERSIGN_IDEMPOTENCY_KEY="k",
    )
    assert done.returncode == 0, done.stderr
    assert gate.received[0].headers["Idempotency-Key"] == "k"


def test_a_flag_wins_over_the_environment(gate: Gate) -> None:
    ask(gate, COUNTERSIGN_MODEL="other")
    assert gate.received[0].body["model"]["name"] == "credit-scoring"


@pytest.mark.parametrize(
    ("more", "environment"),
    [
        (["--action", "destroy"], {}),
        (["--output", "yaml"], {}),
        (["--weight", "101"], {}),
        (["--timeout", "0"], {}),
        (["--timeout", "nan"], {}),
        (["--colour", "red"], {}),
        (["--dry-run=maybe"], {}),
        (["--idempotency-key", "a\nb"], {}),
        ([], {"COUNTERSIGN_TOKEN": ""}),
        ([], {"COUNTERSIGN_TOKEN": "two words"}),
        ([], {"COUNTERSIGN_URL": "ftp://x"}),
        ([], {"COUNTERSIGN_URL": "file:///etc/passwd"}),
        ([], {"COUNTERSIGN_URL": "countersign.example"}),
        ([], {"COUNTERSIGN_URL": "http://[::1"}),
        ([], {"COUNTERSIGN_URL": "http://::1]:80"}),
        ([], {"COUNTERSIGN_URL": "http://[not-an-address]"}),
        ([], {"COUNTERSIGN_URL": "http://127.0.0.1:port"}),
        ([], {"COUNTERSIGN_URL": "http://127.0.0.1:99999"}),
        ([], {"COUNTERSIGN_URL": "http://127.0.0.1:0"}),
        ([], {"COUNTERSIGN_URL": "http://exa mple"}),
        ([], {"COUNTERSIGN_URL": "http://"}),
        ([], {"COUNTERSIGN_DRY_RUN": "maybe"}),
    ],
)
def test_wrong_usage_exits_2_and_asks_nobody(gate: Gate, more: list[str], environment: dict[str, str]) -> None:
    assert ask(gate, *more, **environment).returncode == 2
    assert gate.received == []


def test_a_version_or_a_digest_is_needed(gate: Gate) -> None:
    flags = ("--url", gate.url, "--token", "t", "--model", "m", "--environment", "e")
    assert run("check", *flags).returncode == 2


def test_no_command_exits_2() -> None:
    assert run().returncode == 2


def test_the_client_imports_nothing_of_the_server() -> None:
    script = (
        "import sys, countersign, countersign.commands\n"
        "heavy = {'django', 'numpy', 'mlflow', 'rest_framework', 'celery', 'requests', 'yaml'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={"PYTHONPATH": str(CLI)}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_how_to_pass_is_told_below_a_denial_and_changes_no_exit_code(gate: Gate) -> None:
    gate.answer = denied() | {"ways": [{"steps": ["Record it."], "actions": []}], "stuck": []}
    done = ask(gate, "--ways")
    assert (done.returncode, done.stdout.splitlines()[-2:]) == (1, ["TO PASS", "  1. Record it."])
    assert gate.received[-1].path.endswith("/ways-to-pass")
    gate.answer = denied()
    done = ask(gate, "--ways")
    assert done.returncode == 1
    assert "How to pass cannot be told" in done.stdout
    ask(gate)
    assert gate.received[-1].path == "/api/v1/gate/checks"
