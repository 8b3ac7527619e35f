"""Reports on a gate's answer. Names in it come from other people: control characters and markup are made harmless.

Pure, standard library only, and the one implementation of every format: the server, which has the client's package
installed, imports it for recorded decisions.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree  # only to write

#: The version of the reports' shape, as SARIF names the tool.
VERSION = "0.1.0"
WORDS = {"allow": "ALLOWED", "deny": "DENIED", "pending": "PENDING", "error": "CANNOT DECIDE"}
#: https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json describes what is written.
_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")

Report = Mapping[str, Any]


def as_json(answer: Report) -> str:
    """The answer as it is."""
    return json.dumps(answer, indent=2, ensure_ascii=False)


def as_sarif(answer: Report) -> str:
    """SARIF 2.1.0; one result for each finding, located at the version."""
    found = findings(answer)
    results = [_sarif_result(one, answer) for one in found]
    needed = missing(answer)
    if needed:
        waiting = {"rule": "signoff", "outcome": "fail", "severity": "warn", "message": f"Waiting for: {needed}"}
        results.append(_sarif_result(waiting, answer))
    rules = {one["rule"]: one for one in found if isinstance(one.get("rule"), str)}
    described = [
        {
            "id": plain(name),
            "shortDescription": {"text": plain(str(one.get("title") or name))},
            "help": {"text": plain("; ".join(map(str, one.get("cites") or [])) or name)},
        }
        for name, one in sorted(rules.items())
    ]
    return sarif(results, described, successful=word(answer) != "error")


def as_junit(answer: Report) -> str:
    """JUnit: a test case for each rule and subject; an outcome ``error`` is an error, a warning stays a passed case."""
    suite = ElementTree.Element("testsuite", name="countersign")
    for one in findings(answer):
        name = f"{one.get('rule')} {one.get('subject')}" + (f" ({_kind(one)})" if _kind(one) else "")
        case = ElementTree.SubElement(suite, "testcase", classname="countersign", name=plain(name))
        outcome, blocks = one.get("outcome"), one.get("severity") == "block" and not waiver_of(one)
        if outcome == "not_applicable":
            ElementTree.SubElement(case, "skipped")
        elif outcome != "pass" and blocks:
            _detail(case, "error" if outcome == "error" else "failure", one)
        elif outcome != "pass":
            ElementTree.SubElement(case, "system-out").text = plain(f"{one.get('message')}{excuse(one)}")
    case = ElementTree.SubElement(suite, "testcase", classname="countersign", name="decision")
    if word(answer) not in ("allow", "deny", "pending"):
        ElementTree.SubElement(case, "error", message=plain(str(answer.get("summary"))))
    elif word(answer) != "allow":
        ElementTree.SubElement(case, "failure", message=plain(f"{word(answer)}: {answer.get('summary')}"))
    return junit(suite)


def as_md(answer: Report) -> str:
    """Markdown for a merge request or a step summary: the conclusion, then what blocks and how to pass."""
    place = f"{_cell(subject(answer))} → {_cell(str(answer.get('environment')))}"
    rows = [f"### Countersign: {WORDS.get(word(answer), 'CANNOT DECIDE')}", "", place, ""]
    rows += [_cell(str(answer.get("summary") or "")), ""]
    shown = [one for one in findings(answer) if one.get("outcome") in ("fail", "error")]
    if shown:
        rows += ["| rule | subject | finding | to pass |", "| --- | --- | --- | --- |"]
        names = ("rule", "subject", "message", "remedy")
        for one in shown:
            told = {**one, "message": f"{one.get('message') or ''}{excuse(one)}"}
            rows.append("| " + " | ".join(_cell(str(told.get(name) or "")) for name in names) + " |")
        rows.append("")
    if missing(answer):
        rows += [f"Waiting for sign-offs: {_cell(missing(answer))}", ""]
    rows.append(f"Decision {_cell(str(answer.get('decision_id') or 'not recorded'))}")
    return "\n".join(rows) + "\n"


def as_github(answer: Report) -> str:
    """Workflow commands for GitHub Actions."""
    level = {"allow": "notice", "pending": "warning"}.get(word(answer), "error")
    title = f"{WORDS.get(word(answer), 'CANNOT DECIDE')}: {subject(answer)} -> {answer.get('environment')}"
    lines = [command(level, title, str(answer.get("summary") or word(answer)))]
    for one in findings(answer):
        if one.get("outcome") in ("fail", "error"):
            bad = "error" if one.get("severity") == "block" and not waiver_of(one) else "warning"
            lines.append(command(bad, str(one.get("rule")), _sentences(one) + excuse(one)))
    return "\n".join(lines)


SHAPES: dict[str, Callable[[Report], str]] = {
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
    "md": as_md,
    "github": as_github,
}


def word(answer: Report) -> str:
    """``allow``, ``deny``, ``pending`` or ``error``."""
    found = answer.get("decision")
    return found if isinstance(found, str) and found in WORDS else "error"


def findings(answer: Report) -> list[dict[str, Any]]:
    """Those that are objects."""
    return [one for one in answer.get("findings") or [] if isinstance(one, dict)]


def missing(answer: Report) -> str:
    """«1 x dpo, 2 x ml_lead»; empty when no sign-off is missing."""
    signoff = answer.get("signoff")
    found = signoff.get("missing") if isinstance(signoff, dict) else None
    return ", ".join(f"{one.get('n')} x {one.get('role')}" for one in found or [] if isinstance(one, dict))


def subject(answer: Report) -> str:
    """``credit-scoring/14``."""
    model = answer.get("model")
    model = model if isinstance(model, dict) else {}
    return f"{model.get('name')}/{model.get('version') or str(model.get('digest') or '')[:19]}"


def waiver_of(finding: Mapping[str, Any]) -> str:
    """The waiver that excuses a failed finding, or empty. An error is never excused."""
    found = finding.get("waived_by")
    return found if finding.get("outcome") == "fail" and isinstance(found, str) else ""


def excuse(one: Mapping[str, Any]) -> str:
    """« [excused by WV-2026-0001]», or empty."""
    return f" [excused by {waiver_of(one)}]" if waiver_of(one) else ""


def plain(text: str) -> str:
    """Without control and direction characters: a data set's name must not steer a terminal or break XML."""
    return _CONTROL.sub("?", text).replace("\n", " ")


def sarif(
    results: list[dict[str, Any]],
    rules: list[dict[str, Any]],
    *,
    successful: bool,
    notes: list[dict[str, Any]] | None = None,
) -> str:
    """A SARIF log with one run."""
    invocation: dict[str, Any] = {"executionSuccessful": successful}
    if notes:
        invocation["toolExecutionNotifications"] = notes
    driver = {"name": "Countersign", "version": VERSION, "rules": rules}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def junit(suite: ElementTree.Element) -> str:
    """The suite as XML, with its cases counted."""
    counted = {"tests": "testcase", "failures": "testcase/failure", "errors": "testcase/error"}
    counted["skipped"] = "testcase/skipped"
    suite.attrib.update({name: str(len(suite.findall(path))) for name, path in counted.items()})
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, encoding="unicode")


def command(level: str, title: str, text: str) -> str:
    """A workflow command of GitHub Actions: ``::error title=…::…``."""
    name = escaped(plain(title)).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{escaped(plain(text))}"


def escaped(text: str) -> str:
    """For the data of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _sentences(one: Mapping[str, Any]) -> str:
    """What a finding says and how to pass, each a sentence of its own."""
    parts = [str(one.get("message") or one.get("title") or ""), str(one.get("remedy") or "")]
    return " ".join(part if part.endswith(".") or not one.get("remedy") else f"{part}." for part in parts if part)


def _facts(one: Mapping[str, Any]) -> Mapping[str, Any]:
    facts = one.get("facts")
    return facts if isinstance(facts, dict) else {}


def _kind(one: Mapping[str, Any]) -> str:
    """Which of a subject's flows a finding is about (serving, inference log): two findings of one rule differ in it."""
    kind = str(_facts(one).get("kind") or "").replace("_", " ")
    return "" if kind == "dataset" else kind


def _sarif_result(one: Mapping[str, Any], answer: Report) -> dict[str, Any]:
    kind = {"pass": "pass", "not_applicable": "notApplicable"}.get(str(one.get("outcome")), "fail")
    level = {"block": "error", "warn": "warning"}.get(str(one.get("severity")), "note") if kind == "fail" else "none"
    print_of = json.dumps([one.get("rule"), one.get("subject"), _facts(one).get("region", ""), _kind(one)])
    name, _slash, number = subject(answer).rpartition("/")
    place = {"fullyQualifiedName": plain(f"models/{name}@{number}"), "kind": "resource"}
    return {
        "ruleId": plain(str(one.get("rule"))),
        "kind": kind,
        "level": level,
        "message": {"text": plain(_sentences(one))},
        "partialFingerprints": {"countersign/v1": hashlib.sha256(print_of.encode()).hexdigest()},
        "locations": [{"logicalLocations": [place]}],
        **({"suppressions": [_suppression(one)]} if waiver_of(one) else {}),
    }


def _suppression(one: Mapping[str, Any]) -> dict[str, str]:
    """SARIF 2.1.0 section 3.35: excused outside the analysed files, and approved."""
    return {"kind": "external", "status": "accepted", "justification": plain(f"Excused by {waiver_of(one)}")}


def _detail(case: ElementTree.Element, tag: str, one: Mapping[str, Any]) -> None:
    found = ElementTree.SubElement(case, tag, message=plain(str(one.get("message"))))
    parts = [str(one.get("remedy") or ""), "; ".join(map(str, one.get("cites") or []))]
    found.text = plain(" · ".join(part for part in parts if part))


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@&:.-])", r"\\\1", plain(text))
