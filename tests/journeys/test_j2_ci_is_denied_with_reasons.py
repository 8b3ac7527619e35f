"""J2: CI registers a version by digest, asks the gate and is told what is missing, from whom and where."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest

from tests.stack import RunningStack, eventually


@pytest.fixture(scope="module")
def version(stack: RunningStack) -> dict[str, str]:
    """A version that CI registers by digest, from the run that trained version 3."""
    with stack.api() as api:
        known = api.get("models/credit-scoring/versions").json()["results"]
        trained = next(each for each in known if str(each["number"]) == "3")
        digest = "sha256:" + hashlib.sha256(uuid.uuid4().bytes).hexdigest()
        body = {"number": 40, "digest": digest, "run_id": trained["run_id"], "trained_by": ["yusuf"]}
        made = api.post("models/credit-scoring/versions", json=body)
    assert made.status_code == 201, made.text
    return {"number": "40", "digest": digest}


def check(
    stack: RunningStack, version: dict[str, str], *more: str, environment: str = "prod-uae"
) -> tuple[int, dict[str, object]]:
    """``countersign check --output json``: exit code and answer."""
    arguments = ["check", "--model", "credit-scoring", "--version", version["number"], "--digest", version["digest"]]
    done = stack.cli(*arguments, "--environment", environment, "--output", "json", *more)
    return done.returncode, json.loads(done.stdout or "{}")


def test_the_answer_names_what_is_missing_who_can_supply_it_and_where(
    stack: RunningStack, version: dict[str, str]
) -> None:
    code, answer = check(stack, version, environment="dr-frankfurt")
    assert code == 1
    assert answer["decision"] == "deny"
    blocking = [each for each in answer["findings"] if each["outcome"] in ("fail", "error")]
    assert blocking
    for finding in blocking:
        assert finding["rule"]
        assert finding["message"]
        assert finding["remedy"]
        assert finding["who"]
        assert finding["where"]


def test_the_page_shows_the_same_decision_and_digest(stack: RunningStack, version: dict[str, str]) -> None:
    _code, answer = check(stack, version, environment="dr-frankfurt")
    page = stack.browser("omar").get(str(answer["links"]["html"])).text
    assert str(answer["decision_id"]) in page
    assert str(answer["subject_digest"]) in page


def test_a_dry_run_says_the_verdict_and_records_nothing(stack: RunningStack, version: dict[str, str]) -> None:
    code, answer = check(stack, version, "--dry-run", environment="dr-frankfurt")
    assert code == 1
    assert answer["decision"] == "deny"
    assert answer["decision_id"] is None


def test_a_digest_that_disagrees_with_the_version_never_passes(stack: RunningStack, version: dict[str, str]) -> None:
    code, _answer = check(stack, {**version, "digest": "sha256:" + "0" * 64})
    assert code not in (0, 3)


def test_unknown_names_and_tokens_never_pass(stack: RunningStack) -> None:
    assert stack.cli("check", "--model", "nobody", "--version", "1", "--environment", "prod-uae").returncode == 2
    known = ("check", "--model", "credit-scoring", "--version", "3")
    assert stack.cli(*known, "--environment", "atlantis").returncode == 2
    assert stack.cli(*known, "--environment", "prod-uae", COUNTERSIGN_TOKEN="csn_bad").returncode == 5


def test_with_the_server_stopped_the_exit_code_is_four(stack: RunningStack, version: dict[str, str]) -> None:
    with stack.without("web"):
        done = stack.cli("check", "--model", "credit-scoring", "--version", "3", "--environment", "prod-uae")
    assert done.returncode == 4
    assert done.returncode != 0


def test_with_the_broker_stopped_the_gate_answers_and_no_job_is_lost(
    stack: RunningStack, version: dict[str, str]
) -> None:
    with stack.api() as api:
        with stack.without("valkey"):
            code, answer = check(stack, version, environment="dr-frankfurt")
            assert (code, answer["decision"]) == (1, "deny")
            asked = api.post("explanations", json=explanation_request())
            assert asked.status_code in (201, 202), asked.text
            number = asked.json()["id"]
            assert api.get(f"explanations/{number}").json()["state"] == "queued"
        done = eventually(lambda: api.get(f"explanations/{number}").json()["state"] == "finished", seconds=150)
    assert done


def explanation_request() -> dict[str, object]:
    """A small SHAP question to the model that serves in the UAE."""
    from config.story.applications import COLUMNS, applications

    rows = applications(2, seed=900, market="AE")[COLUMNS].to_dict("records")
    background = applications(20, seed=901, market="AE")[COLUMNS].to_dict("records")
    return {
        "version": "version:credit-scoring/2",
        "endpoint": "credit-scoring-uae",
        "method": "shap",
        "rows": rows,
        "background": background,
        "seed": 1,
    }
