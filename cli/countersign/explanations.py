"""Explanations of served models: ask, follow, read, run again; check a result against its receipt offline."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from countersign import asking, explanation_proof, outputs, settings, tables
from countersign.exits import Exit, Stop

PATH = "/api/v1/explanations"
#: Seconds between two looks.
_PAUSE = 1.0
_OPEN = ("queued", "running", "waiting", "paused")
_NUMBERS = {"seed": int, "sample": int, "budget": int}


def listed(arguments: argparse.Namespace, shape: str) -> int:
    """List the explanations, newest first: one page, and where the next one is."""
    settings.fill(arguments, os.environ, ("url", "token"))
    names = ("version", "method", "state", "standing", "endpoint", "prediction")
    filters = {name: getattr(arguments, name) for name in names}
    return asking.page(arguments, shape, PATH, _line, none="Nobody has asked for an explanation", **filters)


def estimate(arguments: argparse.Namespace, shape: str) -> int:
    """Say what a question would cost; nothing is asked of the model."""
    answer = asking.post(arguments, f"{PATH}/estimate", _question(arguments))
    lines = [f"{name.replace('_', ' ')}: {value}" for name, value in answer.items()]
    return outputs.told(answer, shape, lines)


def request(arguments: argparse.Namespace, shape: str) -> int:
    """Ask for an explanation; with --wait, until it has ended."""
    return _followed(arguments, asking.post(arguments, PATH, _question(arguments)), shape)


def status(arguments: argparse.Namespace, shape: str) -> int:
    """Show how far an explanation is."""
    answer = asking.get(arguments, f"{_path(arguments)}/status")
    return outputs.told(answer, shape, [_line(answer)], _code(answer))


def result(arguments: argparse.Namespace, shape: str) -> int:
    """Show or save the values of a finished explanation; --format json or parquet."""
    address = f"{_path(arguments)}/result"
    form = settings.choice("format", arguments.format, ("json", "parquet"))
    if form == "parquet" and not arguments.out:
        raise Stop(Exit.USAGE, "Parquet is no text: name a file with --out.")
    address += f"?{urlencode({'format': form})}"
    if arguments.out:
        return _saved(arguments, address, shape)
    answer = asking.get(arguments, address)
    return outputs.told(answer, shape, _values(answer))


def receipt(arguments: argparse.Namespace, shape: str) -> int:
    """Show or save the receipt of a finished explanation."""
    address = f"{_path(arguments)}/receipt"
    if arguments.out:
        return _saved(arguments, address, shape)
    answer = asking.get(arguments, address)
    return outputs.told(answer, shape, [json.dumps(answer, indent=2, ensure_ascii=False)])


def rerun(arguments: argparse.Namespace, shape: str) -> int:
    """Ask the very same again; with --wait, whether both agree (6 when they do not)."""
    path = _path(arguments)
    body = {} if not arguments.seed else {"seed": settings.whole("seed", arguments.seed)}
    answer = _waited(arguments, asking.post(arguments, f"{path}/rerun", body))
    said = (answer.get("receipt") or {}).get("agreement")
    if answer.get("state") != "finished" or not isinstance(said, dict):
        return outputs.told(answer, shape, [_line(answer)], _code(answer))
    agrees = said.get("holds") is True
    words = "every bit is the same" if said.get("identical") is True else f"largest difference {said.get('largest')}"
    lines = [_line(answer), f"{said.get('agree')} of {said.get('rows')} rows agree with {said.get('with')}: {words}"]
    return outputs.told(answer, shape, lines, Exit.ALLOW if agrees else Exit.MISMATCH)


def compare(arguments: argparse.Namespace, shape: str) -> int:
    """Compare two finished explanations of the same rows, for example of two versions."""
    settings.fill(arguments, os.environ, ("url", "token", "first", "second"))
    pair = {"a": settings.whole("first", arguments.first), "b": settings.whole("second", arguments.second)}
    answer = asking.get(arguments, f"{PATH}/compare?{urlencode(pair)}")
    return outputs.told(answer, shape, [json.dumps(answer, indent=2, ensure_ascii=False)])


def cancel(arguments: argparse.Namespace, shape: str) -> int:
    """End an explanation that is under way."""
    return _changed(arguments, "cancel", shape)


def pause(arguments: argparse.Namespace, shape: str) -> int:
    """Let nobody work on an explanation until it is resumed."""
    return _changed(arguments, "pause", shape)


def resume(arguments: argparse.Namespace, shape: str) -> int:
    """Queue a paused explanation again."""
    return _changed(arguments, "resume", shape)


def verify(arguments: argparse.Namespace, shape: str) -> int:
    """Check saved results against a saved receipt, without the server (6 when they do not fit)."""
    settings.fill(arguments, os.environ, ("receipt", "results"))
    found = explanation_proof.check(tables.document(arguments.receipt), tables.document(arguments.results))
    code = Exit.MISMATCH if found.problems else Exit.ALLOW
    fits = f"{found.rows} rows fit the receipt {found.digest}"
    fits += ", and those with a result add up to their predictions" if found.additive else ""
    fits += f"; {found.erased} of them were erased" if found.erased else ""
    lines = found.problems or [fits, "Compare the digest with that of the log's entry explanation.finished."]
    answer = {"receipt": found.digest, "rows": found.rows, "erased": found.erased, "problems": found.problems}
    return outputs.told(answer, shape, lines, code)


def _path(arguments: argparse.Namespace) -> str:
    settings.fill(arguments, os.environ, ("url", "token", "id"))
    return f"{PATH}/{settings.whole('id', arguments.id)}"


def _question(arguments: argparse.Namespace) -> dict[str, Any]:
    drawn = _drawn(arguments)
    files = [name for name in ("rows", "background") if name not in drawn or getattr(arguments, name)]
    settings.fill(arguments, os.environ, ("url", "token", "version", "endpoint", *files))
    person = arguments.subject_column or ""
    given = {name: tables.rows(getattr(arguments, name), person=person) for name in files}
    about: dict[str, str] = {}
    if person and "rows" in given:
        given["rows"], about = tables.persons(given["rows"], person)
    behind: list[str] = []
    if person and "background" in given:
        behind = tables.behind(given["background"], person)
        given["background"] = tables.without(given["background"], person)
    body: dict[str, Any] = {
        "version": arguments.version,
        "endpoint": arguments.endpoint,
        "method": arguments.method or "shap",
        **given,
        **({"subjects": about} if about else {}),
        **({"background_subjects": behind} if behind else {}),
        **({"draw": drawn} if drawn else {}),
    }
    more = {name: getattr(arguments, name) for name in _OPTIONAL}
    body |= {name: value for name, value in more.items() if value}
    body |= {name: settings.whole(name, body[name]) for name in _NUMBERS if name in body}
    if arguments.groups:
        body["groups"] = tables.document(arguments.groups)
    return body


def _drawn(arguments: argparse.Namespace) -> dict[str, Any]:
    """What is drawn from a data set; empty without ``--dataset``."""
    counts = {"rows": arguments.draw_rows, "background": arguments.draw_background, "seed": arguments.draw_seed}
    given = {name: settings.whole(f"draw-{name}", value) for name, value in counts.items() if value}
    if not arguments.dataset:
        if given:
            raise Stop(Exit.USAGE, "Name the data set to draw from with --dataset.")
        return {}
    if not given.get("rows") and not given.get("background"):
        raise Stop(Exit.USAGE, "Say how many with --draw-rows or --draw-background.")
    person = {"subject_column": arguments.subject_column} if arguments.subject_column else {}
    return {"dataset": arguments.dataset, **given, **person}


_OPTIONAL = ("level", "algorithm", "scale", "of_class", "tol", "seed", "sample", "budget", "notify")


def _followed(arguments: argparse.Namespace, answer: dict[str, Any], shape: str) -> int:
    answer = _waited(arguments, answer)
    return outputs.told(answer, shape, [_line(answer)], _code(answer))


def _waited(arguments: argparse.Namespace, answer: dict[str, Any]) -> dict[str, Any]:
    """The job when it has ended, or when the time of ``--wait`` is over; as it was asked without."""
    number = answer.get("id")
    if isinstance(number, bool) or not isinstance(number, int):
        raise Stop(Exit.UNDECIDED, "The answer names no explanation.")
    if not arguments.wait:
        return answer
    ends = time.monotonic() + settings.seconds(arguments.wait, name="wait")
    while answer.get("state") in _OPEN and time.monotonic() < ends:
        time.sleep(_PAUSE)
        answer = asking.get(arguments, f"{PATH}/{number}/status")
    return answer if answer.get("state") in _OPEN else asking.get(arguments, f"{PATH}/{number}")


def _code(answer: Mapping[str, Any]) -> Exit:
    """0 for evidence and drafts alike, which the answer tells apart; 3 while it is under way; 1 when it ended badly."""
    state = answer.get("state")
    if state in _OPEN:
        return Exit.PENDING
    if state == "finished":
        return Exit.ALLOW
    return Exit.DENIED if state in ("failed", "cancelled", "version_changed") else Exit.UNDECIDED


def _changed(arguments: argparse.Namespace, word: str, shape: str) -> int:
    path = _path(arguments)
    reason = getattr(arguments, "reason", None)
    answer = asking.post(arguments, f"{path}/{word}", {"reason": reason} if reason else {})
    return outputs.told(answer, shape, [_line(answer)])


def _saved(arguments: argparse.Namespace, address: str, shape: str) -> int:
    path = Path(arguments.out)
    if path.exists():
        raise Stop(Exit.USAGE, f"{path} exists already; name another file.")
    part = path.with_name(path.name + ".part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
            digest = asking.server(arguments).fetch(address, target, request_id=arguments.request_id or "")
        part.replace(path)
    except OSError as error:
        raise Stop(Exit.UNDECIDED, f"{path} could not be written: {error.strerror}.") from error
    finally:
        part.unlink(missing_ok=True)
    return outputs.told({"file": str(path), "sha256": digest}, shape, [f"{path} (SHA-256 {digest})"])


def _line(answer: Mapping[str, Any]) -> str:
    progress = answer.get("progress")
    far = f"  {progress.get('done')} of {progress.get('total')} rows" if isinstance(progress, dict) else ""
    standing = f" ({answer['standing']})" if answer.get("standing") else ""
    error = f"  {answer['error']}" if answer.get("error") else ""
    words = (answer.get("subject"), answer.get("version"), answer.get("method"))
    return f"{'  '.join(map(str, words))}  {answer.get('state')}{standing}{far}{error}"


def _values(answer: Mapping[str, Any]) -> list[str]:
    names, rows = answer.get("columns"), answer.get("results")
    if not isinstance(names, list) or not isinstance(rows, list):
        raise Stop(Exit.UNDECIDED, "The answer has no results.")
    lines = []
    for row in rows:
        lines.append(f"{row.get('row_id')}: {row.get('problem') or row.get('fx')}")
        pairs = sorted(
            zip(names, row.get("phi") or [], row.get("se") or [], strict=False), key=lambda each: -abs(each[1])
        )
        lines += [f"  {name} {phi:+.5g} ±{1.96 * se:.2g}" for name, phi, se in pairs]
    return lines


def add(commands: Any, command: Callable[..., Any], flags: Callable[..., None], epilog: str) -> None:
    """The parsers of all these; ``command`` and ``flags`` as in ``commands``."""
    group = commands.add_parser("explanations", help="explanations of served models", epilog=epilog, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    one = command(ways, "list", listed)
    flags(one, version="version:NAME/N", method="shap | lime", state="where it stands", standing="evidence | draft")
    flags(one, endpoint="name", prediction="id of an explained row", cursor="of the page before")
    for word, run in (("estimate", estimate), ("request", request)):
        one = command(ways, word, run)
        flags(one, version="version:NAME/N", endpoint="name", method="shap | lime", rows="JSON or CSV file of rows")
        flags(one, background="JSON or CSV file of rows to compare with", level="quick | standard | audit")
        flags(one, algorithm="which estimator, auto by default", scale="probability | log_odds | raw")
        flags(one, tol="share of the largest value", seed="whole number", budget="model rows at most")
        flags(one, sample="explain a sample of so many rows", groups="JSON file: name and columns", notify="webhook")
        flags(one, of_class="which class", dataset="registered data set to draw from", draw_rows="how many")
        flags(one, draw_background="how many", draw_seed="whole number", subject_column="names the person of a row")
    flags(one, wait="seconds to wait for the end")
    for word, run in (("status", status), ("resume", resume)):
        flags(command(ways, word, run), id="number")
    for word, run in (("cancel", cancel), ("pause", pause)):
        flags(command(ways, word, run), id="number", reason="why")
    flags(command(ways, "result", result), id="number", format="json | parquet", out="file to write")
    flags(command(ways, "receipt", receipt), id="number", out="file to write")
    flags(command(ways, "rerun", rerun), id="number", seed="another seed", wait="seconds to wait for the end")
    flags(command(ways, "compare", compare), first="number", second="number")
    flags(command(ways, "verify", verify), receipt="file", results="file of result --format json")
