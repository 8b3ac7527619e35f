"""The shapes of a report: complete in every case, and safe against names that other people chose."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.cli.gate import Gate, allowed, ask, denied, finding, serving

NASTY = "dataset:\x1b[31mred\u202e\n::error::x|<b>&\x00"


@pytest.fixture
def gate() -> Iterator[Gate]:
    with serving(Gate(answer=denied())) as served:
        yield served


def test_the_table_says_what_failed_how_to_pass_and_who_can_help(gate: Gate) -> None:
    shown = ask(gate).stdout
    assert shown.startswith("DENIED  credit-scoring/14 -> prod-uae (promote)")
    for part in (
        "FAIL  SA-RES-001  dataset:loans: dataset:loans is in aws:eu-central-1",
        "path: version:credit-scoring/14 -> dataset:loans",
        "TS-1 lacks: not expired",
        "to pass: Move dataset:loans (dpo; /transfers)",
        "PDPL Art. 29(2)",
        "dec_1",
        "https://c.example/decisions/dec_1",
    ):
        assert part in shown


def test_what_is_pending_names_the_roles_and_the_page(gate: Gate) -> None:
    signoff = {
        "state": "awaiting_signoff",
        "missing": [{"role": "dpo", "n": 1}],
        "url": "https://c.example/promotions/3",
    }
    gate.answer = denied(decision="pending", findings=[], signoff=signoff)
    done = ask(gate)
    assert done.returncode == 3
    assert "Waiting for sign-offs: 1 x dpo  https://c.example/promotions/3" in done.stdout


def test_json_is_the_answer_with_the_exit_code(gate: Gate) -> None:
    done = ask(gate, "--output", "json")
    assert json.loads(done.stdout) == {**denied(), "exit_code": 1}


def test_sarif_has_a_result_for_each_finding(gate: Gate) -> None:
    passed = finding(rule="REG-001", outcome="pass")
    gate.answer = denied(findings=[finding(), passed, finding(rule="W", severity="warn"), finding(outcome="error")])
    (run,) = json.loads(ask(gate, "--output", "sarif").stdout)["runs"]
    assert [(one["ruleId"], one["kind"], one["level"]) for one in run["results"]] == [
        ("SA-RES-001", "fail", "error"),
        ("REG-001", "pass", "none"),
        ("W", "fail", "warning"),
        ("SA-RES-001", "fail", "error"),
    ]
    assert {rule["id"] for rule in run["tool"]["driver"]["rules"]} == {"SA-RES-001", "REG-001", "W"}
    assert run["results"][0]["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "models/credit-scoring@14"
    assert run["invocations"][0]["executionSuccessful"] is True


def test_junit_counts_failures_and_errors(gate: Gate) -> None:
    gate.answer = denied(
        findings=[finding(), finding(rule="E", outcome="error"), finding(rule="N", outcome="not_applicable")]
    )
    root = ElementTree.fromstring(ask(gate, "--output", "junit").stdout)
    assert {name: root.get(name) for name in ("tests", "failures", "errors", "skipped")} == {
        "tests": "4",
        "failures": "2",
        "errors": "1",
        "skipped": "1",
    }


def test_two_findings_of_one_rule_about_one_subject_are_told_apart(gate: Gate) -> None:
    region = {"region": "aws:eu-central-1"}
    gate.answer = denied(findings=[finding(facts={**region, "kind": kind}) for kind in ("serving", "inference_log")])
    (run,) = json.loads(ask(gate, "--output", "sarif").stdout)["runs"]
    assert len({one["partialFingerprints"]["countersign/v1"] for one in run["results"]}) == 2
    root = ElementTree.fromstring(ask(gate, "--output", "junit").stdout)
    names = ["SA-RES-001 dataset:loans (serving)", "SA-RES-001 dataset:loans (inference log)", "decision"]
    assert [case.get("name") for case in root] == names


def test_github_annotates_summarises_and_masks_the_permit(gate: Gate, tmp_path: Path) -> None:
    summary, outputs = tmp_path / "summary", tmp_path / "outputs"
    places = {"GITHUB_STEP_SUMMARY": str(summary), "GITHUB_OUTPUT": str(outputs)}
    done = ask(gate, "--output", "github", **places)
    assert "::error title=SA-RES-001::dataset:loans is in aws:eu-central-1. Move dataset:loans." in done.stdout
    assert "SA\\-RES\\-001" in summary.read_text()
    gate.answer = allowed()
    outputs.unlink()
    lines = ask(gate, "--output", "github", **places).stdout.splitlines()
    assert lines[0] == "::add-mask::csp_permit"
    assert outputs.read_text() == "decision=allow\ndecision_id=dec_1\npermit=csp_permit\n"


@pytest.mark.parametrize("shape", ["table", "json", "sarif", "junit", "github"])
def test_a_nasty_name_stays_a_name(gate: Gate, shape: str, tmp_path: Path) -> None:
    gate.answer = denied(summary=NASTY, findings=[finding(subject=NASTY, message=NASTY, remedy=NASTY, rule=NASTY)])
    done = ask(gate, "--output", shape, GITHUB_OUTPUT=str(tmp_path / "o"), GITHUB_STEP_SUMMARY=str(tmp_path / "s"))
    assert done.returncode == 1
    assert "\x1b" not in done.stdout
    if shape == "junit":
        assert ElementTree.fromstring(done.stdout).tag == "testsuite"
    if shape in ("json", "sarif"):
        assert json.loads(done.stdout)
    if shape == "github":
        assert not any(line.startswith("::error::x") for line in done.stdout.splitlines())
        assert "\\<b\\>" in (tmp_path / "s").read_text()


@pytest.mark.parametrize("shape", ["json", "sarif", "junit", "github"])
def test_a_report_is_complete_even_without_an_answer(gate: Gate, shape: str) -> None:
    gate.status, gate.answer = 503, {"status": 503, "detail": "Cannot evaluate."}
    done = ask(gate, "--output", shape)
    assert done.returncode == 4
    assert "Cannot evaluate." in done.stdout
    if shape == "json":
        assert json.loads(done.stdout)["exit_code"] == 4
    if shape == "sarif":
        assert json.loads(done.stdout)["runs"][0]["invocations"][0]["executionSuccessful"] is False
    if shape == "junit":
        assert ElementTree.fromstring(done.stdout).get("errors") == "1"


def test_a_terminal_without_unicode_still_gets_the_verdict(gate: Gate) -> None:
    gate.answer = denied(summary="بيانات")
    assert ask(gate, PYTHONIOENCODING="ascii").returncode == 1
