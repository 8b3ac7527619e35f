"""The answer in the shapes of the command line. What a shape says is in ``reports``; here is what only a pipeline has:
a terminal, GitHub's files, and a report where no answer came.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from countersign import reports
from countersign.answers import Answer, permit_of
from countersign.exits import Exit, Stop
from countersign.reports import excuse, waiver_of
from countersign.reports import plain as plain

_MARKS = {"pass": "ok", "fail": "FAIL", "error": "ERROR", "not_applicable": "n/a"}


def as_json(answer: Answer, asked: Mapping[str, Any]) -> str:
    """The server's answer as it came, with the exit code."""
    return reports.as_json({**answer.raw, "exit_code": int(answer.code)})


def as_table(answer: Answer, asked: Mapping[str, Any]) -> str:
    """For people: the conclusion first, then what blocks and how to pass, then what was used to decide."""
    lines = [f"{reports.WORDS[answer.word]}  {subject(answer, asked)} -> {asked['environment']} ({asked['action']})"]
    if asked["mode"] == "dry_run":
        lines[0] += "  [dry run: nothing was recorded]"
    lines.append(answer.text("summary"))
    for one in answer.findings:
        lines += _rows(one)
    if answer.missing:
        lines.append(f"  Waiting for sign-offs: {reports.missing(answer.raw)}  {answer.text('signoff', 'url')}")
    packs = answer.raw.get("policy") or []
    used = ", ".join(f"{one.get('pack')} v{one.get('version')}" for one in packs if isinstance(one, dict))
    lines.append(f"Decision {answer.text('decision_id') or 'not recorded'} by {used or 'no policy'}")
    lines.append(f"Subject {answer.text('subject_digest')}, facts {answer.text('facts_digest')}")
    if answer.text("valid_until"):
        lines.append(f"Valid until {answer.text('valid_until')}")
    if answer.text("links", "html"):
        lines.append(answer.text("links", "html"))
    return "\n".join(plain(line) for line in lines if line)


def as_github(answer: Answer, asked: Mapping[str, Any]) -> str:
    """Workflow commands for GitHub Actions, a step summary and step outputs; the permit is masked first."""
    told = _about(answer, asked)
    permit = permit_of(answer.raw)
    _append("GITHUB_STEP_SUMMARY", reports.as_md(told))
    outputs = {"decision": answer.word, "decision_id": answer.text("decision_id"), "permit": permit}
    _append("GITHUB_OUTPUT", "".join(f"{name}={_one_line(value)}\n" for name, value in outputs.items()))
    mask = f"::add-mask::{reports.escaped(permit)}\n" if permit else ""
    return mask + reports.as_github(told)


def _shared(shape: str) -> Callable[[Answer, Mapping[str, Any]], str]:
    return lambda answer, asked: reports.SHAPES[shape](_about(answer, asked))


SHAPES: dict[str, Callable[[Answer, Mapping[str, Any]], str]] = {
    "table": as_table,
    "json": as_json,
    "sarif": _shared("sarif"),
    "junit": _shared("junit"),
    "md": _shared("md"),
    "github": as_github,
}


def save(name: str, raw: Mapping[str, Any]) -> None:
    """The answer with its permit, readable by this user alone."""
    path = Path(name)
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(raw, file, ensure_ascii=False)
    except OSError as error:
        raise Stop(Exit.UNDECIDED, f"The answer could not be saved to {path}: {error.strerror}.") from error


def told(answer: Mapping[str, Any], shape: str, lines: Sequence[str], code: Exit = Exit.ALLOW) -> int:
    """Print what a command was told, as JSON with its exit code or as lines; returns the code."""
    if shape == "json":
        print(json.dumps({**answer, "exit_code": int(code)}, indent=2, ensure_ascii=False), flush=True)
    else:
        print("\n".join(plain(line) for line in lines), flush=True)
    return code


def stopped(stop: Stop, shape: str) -> str:
    """The same shapes for a command that ended without an answer, so that a report is never empty or half."""
    if shape == "json":
        found = {"decision": None, "exit_code": int(stop.code), "error": stop.sentence, "problem": stop.problem}
        return json.dumps(found, indent=2, ensure_ascii=False)
    if shape == "sarif":
        note = {"level": "error", "message": {"text": plain(stop.sentence)}}
        return reports.sarif([], [], successful=False, notes=[note])
    if shape in ("junit", "md"):
        return reports.SHAPES[shape]({"decision": "error", "summary": stop.sentence})
    if shape == "github":
        return reports.command("error", "countersign could not decide", stop.sentence)
    return ""


def _about(answer: Answer, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The answer, with what was asked where an older server does not say it."""
    model = {**asked["model"], **(answer.raw.get("model") or {})}
    return {"environment": asked["environment"], **answer.raw, "model": model}


def subject(answer: Answer, asked: Mapping[str, Any]) -> str:
    """``credit-scoring/14``; from the answer where it says, else as asked."""
    return reports.subject(_about(answer, asked))


def _rows(one: Mapping[str, Any]) -> list[str]:
    """A finding in the table; what passed is one line, what blocks says how to pass."""
    mark = _MARKS.get(str(one.get("outcome")), str(one.get("outcome")))
    if one.get("severity") != "block" and one.get("outcome") in ("fail", "error"):
        mark = "warn"
    if waiver_of(one):
        mark = "WAIVED"
    lines = [f"  {mark:5} {one.get('rule')}  {one.get('subject')}: {one.get('message')}{excuse(one)}"]
    if one.get("outcome") not in ("fail", "error") or waiver_of(one):
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
