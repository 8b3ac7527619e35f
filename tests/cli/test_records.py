"""``countersign deploy record`` and ``rollback record``."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.cli.gate import DIGEST, Gate, allowed, ask, free_port, run, serving

RECORDED = {"id": 7, "kind": "deploy", "environment": "prod-uae", "since": "2026-11-22T09:00:00Z"}


@pytest.fixture
def gate() -> Iterator[Gate]:
    with serving(Gate(answer=RECORDED, status=201)) as served:
        yield served


def deploy(gate: Gate, *more: str, **environment: str) -> CompletedProcess[str]:
    usual = ("--decision", "dec_1", "--permit", "csp_permit", "--environment", "prod-uae", "--strategy", "canary")
    values = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t", **environment}
    return run("deploy", "record", *usual, *more, **values)


def rollback(gate: Gate, *more: str) -> CompletedProcess[str]:
    usual = ("--model", "credit-scoring", "--version", "13", "--environment", "prod-uae", "--reason", "wrong answers")
    return run("rollback", "record", *usual, *more, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t")


def test_a_deploy_presents_decision_and_permit(gate: Gate) -> None:
    done = deploy(gate)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "RECORDED  deploy 7 in prod-uae 2026-11-22T09:00:00Z\n"
    (got,) = gate.received
    assert got.path == "/api/v1/deployments"
    assert got.body == {
        "decision_id": "dec_1",
        "permit": "csp_permit",
        "environment": "prod-uae",
        "strategy": "canary",
    }


def test_a_deploy_brings_what_the_strategy_records(gate: Gate, tmp_path: Path) -> None:
    steps = {"steps": [{"at": "2026-11-22T09:00:00Z", "weight": 5, "moved_by": "argo"}]}
    file = tmp_path / "record.json"
    file.write_text(json.dumps(steps))
    assert deploy(gate, "--record", str(file)).returncode == 0
    body = gate.received[-1].body
    assert body is not None
    assert body["record"] == steps
    for text in ("{", "[]", "{}", "[" * 100_000):
        file.write_text(text)
        done = deploy(gate, "--record", str(file))
        assert (done.returncode, "record" in done.stderr) == (2, True)
    assert deploy(gate, "--record", str(tmp_path / "absent.json")).returncode == 2
    assert len(gate.received) == 1


def test_the_answer_of_a_check_can_be_kept_and_presented(gate: Gate, tmp_path: Path) -> None:
    kept = tmp_path / "answer.json"
    gate.answer, gate.status = allowed(), 200
    assert ask(gate, "--save", str(kept)).returncode == 0
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    gate.answer, gate.status = RECORDED, 201
    environment = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
    done = run("deploy", "record", "--answer", str(kept), "--environment", "prod-uae", **environment)
    assert done.returncode == 0, done.stderr
    assert gate.received[-1].body == {"decision_id": "dec_1", "permit": "csp_permit", "environment": "prod-uae"}


def test_the_same_step_of_one_ci_run_records_under_one_key(gate: Gate) -> None:
    ci = {"GITHUB_RUN_ID": "9", "GITHUB_JOB": "deploy"}
    deploy(gate, **ci)
    deploy(gate, **ci)
    deploy(gate, "--weight", "10", **ci)
    deploy(gate)
    keys = [one.headers["Idempotency-Key"] for one in gate.received]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize(
    ("status", "problem", "code"),
    [
        (409, "permit.used", 1),
        (422, "permit.expired", 1),
        (403, "permit.unknown", 1),
        (400, "permit.malformed", 2),
        (409, "rollback.never_served", 1),
        (422, "rollback.denied", 1),
        (409, "alias.not_production", 1),
        (400, "alias.name", 2),
        (400, "rollback.incomplete", 2),
        (403, "access.denied", 5),
        (401, "", 5),
        (400, "input.invalid", 2),
        (500, "", 4),
        (422, "facts.missing", 4),
    ],
)
def test_a_refusal_has_its_exit_code(gate: Gate, status: int, problem: str, code: int) -> None:
    gate.status, gate.answer = status, {"status": status, "code": problem, "detail": "No."}
    assert deploy(gate).returncode == code


@pytest.mark.parametrize("answer", [{}, {"id": None}, {"id": True, "x": 1}, [], {"ok": True}])
def test_an_answer_without_a_record_exits_4(gate: Gate, answer: object) -> None:
    gate.answer = answer
    assert deploy(gate).returncode == 4


def test_nothing_listening_exits_4() -> None:
    assert deploy(Gate(url=f"http://127.0.0.1:{free_port()}")).returncode == 4


def test_a_permit_is_needed(gate: Gate, tmp_path: Path) -> None:
    environment = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "t"}
    assert run("deploy", "record", "--decision", "d", "--environment", "e", **environment).returncode == 2
    pending = tmp_path / "answer.json"
    pending.write_text(json.dumps(allowed(permit=None)))
    done = run("deploy", "record", "--answer", str(pending), "--environment", "e", **environment)
    assert done.returncode == 2
    assert "--permit" in done.stderr
    pending.write_text("[]")
    assert run("deploy", "record", "--answer", str(pending), "--environment", "e", **environment).returncode == 2


def test_a_rollback_says_why_and_on_which_incident(gate: Gate) -> None:
    assert rollback(gate).returncode == 2
    assert gate.received == []
    done = rollback(gate, "--incident", "INC-7", "--output", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["exit_code"] == 0
    (got,) = gate.received
    assert got.path == "/api/v1/rollbacks"
    assert got.body == {
        "model": {"name": "credit-scoring", "version": "13"},
        "environment": "prod-uae",
        "reason": "wrong answers",
        "incident": "INC-7",
    }


def test_a_record_may_point_an_alias(gate: Gate) -> None:
    assert deploy(gate, "--alias", "champion").returncode == 0
    assert rollback(gate, "--incident", "INC-7", "--alias", "champion").returncode == 0
    assert [one.body["alias"] for one in gate.received] == ["champion", "champion"]


def test_a_rollback_can_name_the_digest_alone(gate: Gate) -> None:
    usual = ("--model", "m", "--digest", DIGEST, "--environment", "e", "--reason", "r", "--incident", "i")
    assert run("rollback", "record", *usual, COUNTERSIGN_URL=gate.url, COUNTERSIGN_TOKEN="t").returncode == 0
