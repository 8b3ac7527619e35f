"""The answer in five shapes. Names in it come from other people: control characters and markup are made harmless."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree  # only to write

from countersign import __version__
from countersign.answers import Answer, permit_of
from countersign.exits import Exit, Stop

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ufffe\uffff\ud800-\udfff]")
_WORDS = {"allow": "ALLOWED", "deny": "DENIED", "pending": "PENDING", "error": "CANNOT DECIDE"}
_MARKS = {"pass": "ok", "fail": "FAIL", "error": "ERROR", "not_applicable": "n/a"}


def as_json(answer: Answer, asked: Mapping[str, Any]) -> str:
    """The server's answer as it came, with the exit code."""
    return json.dumps({**answer.raw, "exit_code": int(answer.code)}, indent=2, ensure_ascii=False)


def as_table(answer: Answer, asked: Mapping[str, Any]) -> str:
    """For people: the conclusion first, then what blocks and how to pass, then what was used to decide."""
    lines = [f"{_WORDS[answer.word]}  {subject(answer, asked)} -> {asked['environment']} ({asked['action']})"]
    if asked["mode"] == "dry_run":
        lines[0] += "  [dry run: nothing was recorded]"
    lines.append(answer.text("summary"))
    for one in answer.findings:
        lines += _rows(one)
    if answer.missing:
        needed = ", ".join(f"{one.get('n')} x {one.get('role')}" for one in answer.missing)
        lines.append(f"  Waiting for sign-offs: {needed}  {answer.text('signoff', 'url')}")
    packs = answer.raw.get("policy") or []
    used = ", ".join(f"{one.get('pack')} v{one.get('version')}" for one in packs if isinstance(one, dict))
    lines.append(f"Decision {answer.text('decision_id') or 'not recorded'} by {used or 'no policy'}")
    lines.append(f"Subject {answer.text('subject_digest')}, facts {answer.text('facts_digest')}")
    if answer.text("valid_until"):
        lines.append(f"Valid until {answer.text('valid_until')}")
    if answer.text("links", "html"):
        lines.append(answer.text("links", "html"))
    return "\n".join(plain(line) for line in lines if line)


def as_sarif(answer: Answer, asked: Mapping[str, Any]) -> str:
    """SARIF 2.1.0; one result for each finding, located at the version."""
    rules = {one["rule"]: one for one in answer.findings if isinstance(one.get("rule"), str)}
    results = [_sarif_result(one, answer, asked) for one in answer.findings]
    if answer.missing:
        needed = ", ".join(f"{one.get('n')} x {one.get('role')}" for one in answer.missing)
        waiting = {"rule": "signoff", "outcome": "fail", "severity": "warn", "message": f"Waiting for: {needed}"}
        results.append(_sarif_result(waiting, answer, asked))
    described = [
        {
            "id": name,
            "shortDescription": {"text": plain(str(one.get("title") or name))},
            "help": {"text": plain("; ".join(map(str, one.get("cites") or [])) or name)},
        }
        for name, one in sorted(rules.items())
    ]
    return _sarif(results, described, successful=answer.code != Exit.UNDECIDED)


def as_junit(answer: Answer, asked: Mapping[str, Any]) -> str:
    """JUnit: a test case for each rule and subject; an outcome ``error`` is an error, a warning stays a passed case."""
    suite = ElementTree.Element("testsuite", name="countersign")
    failures = errors = skipped = 0
    for one in answer.findings:
        name = f"{one.get('rule')} {one.get('subject')}" + (f" ({_kind(one)})" if _kind(one) else "")
        case = ElementTree.SubElement(suite, "testcase", classname="countersign", name=plain(name))
        outcome, blocks = one.get("outcome"), one.get("severity") == "block"
        if outcome == "not_applicable":
            skipped += 1
            ElementTree.SubElement(case, "skipped")
        elif outcome == "error" and blocks:
            errors += 1
            _detail(case, "error", one)
        elif outcome != "pass" and blocks:
            failures += 1
            _detail(case, "failure", one)
        elif outcome != "pass":
            ElementTree.SubElement(case, "system-out").text = plain(str(one.get("message")))
    case = ElementTree.SubElement(suite, "testcase", classname="countersign", name="decision")
    if answer.code == Exit.UNDECIDED:
        errors += 1
        ElementTree.SubElement(case, "error", message=plain(answer.text("summary")))
    elif answer.code != Exit.ALLOW:
        failures += 1
        ElementTree.SubElement(case, "failure", message=plain(f"{answer.word}: {answer.text('summary')}"))
    counts = {"tests": len(suite), "failures": failures, "errors": errors, "skipped": skipped}
    suite.attrib.update({name: str(count) for name, count in counts.items()})
    return _xml(suite)


def as_github(answer: Answer, asked: Mapping[str, Any]) -> str:
    """Workflow commands for GitHub Actions, a step summary and step outputs; the permit is masked first."""
    level = {Exit.ALLOW: "notice", Exit.PENDING: "warning"}.get(answer.code, "error")
    title = f"{_WORDS[answer.word]}: {subject(answer, asked)} -> {asked['environment']}"
    lines = [_command(level, title, answer.text("summary") or answer.word)]
    for one in answer.findings:
        if one.get("outcome") in ("fail", "error"):
            bad = "error" if one.get("severity") == "block" else "warning"
            lines.append(_command(bad, str(one.get("rule")), _sentences(one)))
    permit = permit_of(answer.raw)
    if permit:
        lines.insert(0, f"::add-mask::{_escaped(permit)}")
    _append("GITHUB_STEP_SUMMARY", _markdown(answer, asked))
    outputs = {"decision": answer.word, "decision_id": answer.text("decision_id"), "permit": permit}
    _append("GITHUB_OUTPUT", "".join(f"{name}={_one_line(value)}\n" for name, value in outputs.items()))
    return "\n".join(lines)


SHAPES: dict[str, Callable[[Answer, Mapping[str, Any]], str]] = {
    "table": as_table,
    "json": as_json,
    "sarif": as_sarif,
    "junit": as_junit,
    "github": as_github,
}


def stopped(stop: Stop, shape: str) -> str:
    """The same shapes for a command that ended without an answer, so that a report is never empty or half."""
    if shape == "json":
        found = {"decision": None, "exit_code": int(stop.code), "error": stop.sentence, "problem": stop.problem}
        return json.dumps(found, indent=2, ensure_ascii=False)
    if shape == "sarif":
        note = {"level": "error", "message": {"text": plain(stop.sentence)}}
        return _sarif([], [], successful=False, notes=[note])
    if shape == "junit":
        suite = ElementTree.Element("testsuite", name="countersign", tests="1", failures="0", errors="1", skipped="0")
        case = ElementTree.SubElement(suite, "testcase", classname="countersign", name="decision")
        ElementTree.SubElement(case, "error", message=plain(stop.sentence))
        return _xml(suite)
    if shape == "github":
        return _command("error", "countersign could not decide", stop.sentence)
    return ""


def subject(answer: Answer, asked: Mapping[str, Any]) -> str:
    """``credit-scoring/14``; from the answer where it says, else as asked."""
    model = asked["model"]
    number = answer.text("model", "version") or model.get("version") or model.get("digest", "")[:19]
    return f"{model['name']}/{number}"


def plain(text: str) -> str:
    """Without control and direction characters: a data set's name must not steer a terminal or break XML."""
    return _CONTROL.sub("?", text).replace("\n", " ")


def _rows(one: Mapping[str, Any]) -> list[str]:
    """A finding in the table; what passed is one line, what blocks says how to pass."""
    mark = _MARKS.get(str(one.get("outcome")), str(one.get("outcome")))
    if one.get("severity") != "block" and one.get("outcome") in ("fail", "error"):
        mark = "warn"
    lines = [f"  {mark:5} {one.get('rule')}  {one.get('subject')}: {one.get('message')}"]
    if one.get("outcome") not in ("fail", "error"):
        return lines
    if one.get("path"):
        lines.append(f"          path: {' -> '.join(map(str, one['path']))}")
    for near in one.get("closest") or []:
        if isinstance(near, dict):
            lacks = ", ".join(str(name).replace("_", " ") for name in near.get("failed") or [])
            lines.append(f"          {near.get('id')} lacks: {lacks}")
    who = ", ".join(map(str, one.get("who") or []))
    lines.append(f"          to pass: {one.get('remedy')}" + (f" ({who}; {one.get('where') or ''})" if who else ""))
    if one.get("cites"):
        lines.append(f"          {'; '.join(map(str, one['cites']))}")
    return lines


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


def _sarif_result(one: Mapping[str, Any], answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    outcome = one.get("outcome")
    kind = {"pass": "pass", "not_applicable": "notApplicable"}.get(str(outcome), "fail")
    level = {"block": "error", "warn": "warning"}.get(str(one.get("severity")), "note") if kind == "fail" else "none"
    region = _facts(one).get("region", "")
    print_of = json.dumps([one.get("rule"), one.get("subject"), region, _kind(one)])
    name = f"models/{asked['model']['name']}@{subject(answer, asked).rpartition('/')[2]}"
    return {
        "ruleId": plain(str(one.get("rule"))),
        "kind": kind,
        "level": level,
        "message": {"text": plain(_sentences(one))},
        "partialFingerprints": {"countersign/v1": hashlib.sha256(print_of.encode()).hexdigest()},
        "locations": [{"logicalLocations": [{"fullyQualifiedName": plain(name), "kind": "resource"}]}],
    }


def _sarif(
    results: list[dict[str, Any]],
    rules: list[dict[str, Any]],
    *,
    successful: bool,
    notes: list[dict[str, Any]] | None = None,
) -> str:
    invocation: dict[str, Any] = {"executionSuccessful": successful}
    if notes:
        invocation["toolExecutionNotifications"] = notes
    driver = {"name": "Countersign", "version": __version__, "rules": rules}
    run = {"tool": {"driver": driver}, "invocations": [invocation], "results": results}
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=2, ensure_ascii=False)


def _detail(case: ElementTree.Element, tag: str, one: Mapping[str, Any]) -> None:
    found = ElementTree.SubElement(case, tag, message=plain(str(one.get("message"))))
    parts = [str(one.get("remedy") or ""), "; ".join(map(str, one.get("cites") or []))]
    found.text = plain(" · ".join(part for part in parts if part))


def _xml(root: ElementTree.Element) -> str:
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode")


def _markdown(answer: Answer, asked: Mapping[str, Any]) -> str:
    rows = [f"### Countersign: {_WORDS[answer.word]}", "", _cell(answer.text("summary")), ""]
    shown = [one for one in answer.findings if one.get("outcome") in ("fail", "error")]
    if shown:
        rows += ["| rule | subject | finding | to pass |", "| --- | --- | --- | --- |"]
        names = ("rule", "subject", "message", "remedy")
        rows += ["| " + " | ".join(_cell(str(one.get(name) or "")) for name in names) + " |" for one in shown]
    return "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>()#+!|~@-])", r"\\\1", plain(text))


def _command(level: str, title: str, text: str) -> str:
    name = _escaped(plain(title)).replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{_escaped(plain(text))}"


def _escaped(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _one_line(value: str) -> str:
    """A step output; a line break in it could set another output."""
    return plain(value).replace("\r", "")


def _append(variable: str, text: str) -> None:
    """To the file that GitHub names; a report that cannot be written does not change the verdict."""
    name = os.environ.get(variable)
    if name:
        try:
            with Path(name).open("a", encoding="utf-8") as file:
                file.write(text)
        except OSError:
            return
