"""The commands: read flags, ask once, print, exit. What the exit codes mean is in ``exits``."""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from countersign import (
    __version__,
    analyses,
    decisions,
    emergencies,
    evidence,
    explanations,
    exports,
    halts,
    lineage,
    outputs,
    policy,
    proofs,
    residency,
    settings,
    signoffs,
    transfers,
    waiting,
    waivers,
)
from countersign.answers import permit_of, understand
from countersign.client import Server
from countersign.digest import digest_of_path
from countersign.exits import Exit, Stop

_ACTIONS = ("promote", "deploy", "increase", "rollback", "run")
_EPILOG = "Exit codes: 0 allow, 1 denied, 2 usage, 3 pending, 4 cannot decide, 5 authentication, 6 mismatch."


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Anything unforeseen is 4, never 0."""
    arguments = _parser().parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal without Unicode is no reason to fail
    shape = "table"
    try:
        shape = _shape(arguments)
        run: Callable[[argparse.Namespace, str], int] = arguments.run
        return run(arguments, shape)
    except Stop as stop:
        return _stopped(stop, shape)
    except BrokenPipeError:
        # Whoever reads the report went away; its absence must not look like an allow.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.UNDECIDED
    except KeyboardInterrupt:
        return _stopped(Stop(Exit.UNDECIDED, "Interrupted."), shape)
    except Exception as error:
        return _stopped(Stop(Exit.UNDECIDED, f"Unforeseen: {type(error).__name__}: {error}."), shape)


def check(arguments: argparse.Namespace, shape: str) -> int:
    """Ask whether a version may go somewhere."""
    settings.fill(arguments, os.environ, ("url", "token", "model", "environment"))
    if not (arguments.version or arguments.digest):
        raise Stop(Exit.USAGE, "Missing: --version or --digest (the digest is authoritative).")
    asked: dict[str, Any] = {
        "model": _given(name=arguments.model, version=arguments.version, digest=arguments.digest),
        "environment": arguments.environment,
        "action": settings.choice("action", arguments.action, _ACTIONS),
        "mode": "dry_run" if arguments.dry_run else "enforce",
    }
    rollout = _given(strategy=arguments.strategy, weight=settings.percent(arguments.weight))
    notes = settings.ci_notes(os.environ)
    asked |= _given(rollout=rollout, ci=notes)
    left = waiting.duration(arguments.wait, name="wait") if arguments.wait else 0.0
    if arguments.dry_run and left:
        raise Stop(Exit.USAGE, "--wait does not go with --dry-run: nothing is recorded that could change.")
    if arguments.no_assert and not arguments.dry_run:
        raise Stop(Exit.USAGE, "--no-assert goes with --dry-run only: a question that counts keeps its exit code.")
    raw = _post(arguments, "/api/v1/gate/checks", asked, arguments.idempotency_key or settings.fresh_key())
    answer = understand(raw, asked)
    if left and answer.code == Exit.PENDING:
        server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
        known = answer.text("decision_id")
        answer = waiting.until_decided(server, known, asked, left, request_id=arguments.request_id or "")
    report = outputs.SHAPES[shape](answer, asked)
    if arguments.save:
        outputs.save(arguments.save, answer.raw)
    print(report, flush=True)
    if arguments.ways and shape == "table" and answer.code and answer.text("decision_id"):
        _ways(arguments, answer.text("decision_id"))
    return Exit.ALLOW if arguments.no_assert and answer.code in (Exit.DENIED, Exit.PENDING) else answer.code


def _ways(arguments: argparse.Namespace, decision: str) -> None:
    """How it would pass, below the report. The verdict stands whether or not this can be told."""
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    path = f"/api/v1/decisions/{quote(decision, safe='')}/ways-to-pass"
    try:
        lines = [*decisions.ways_lines(server.get(path, request_id=arguments.request_id or ""))]
    except Stop as stop:
        lines = [f"How to pass cannot be told: {stop.sentence}"]
    print("\n".join(outputs.plain(line) for line in lines), flush=True)


def deploy_record(arguments: argparse.Namespace, shape: str) -> int:
    """Record a deploy with the permit of an allowed decision."""
    settings.fill(arguments, os.environ, ("url", "token", "environment"))
    if arguments.answer:
        saved = _saved(Path(arguments.answer))
        arguments.decision = arguments.decision or saved.get("decision_id")
        arguments.permit = arguments.permit or permit_of(saved)
    settings.fill(arguments, {}, ("decision", "permit"))
    body = _given(
        decision_id=arguments.decision,
        permit=arguments.permit,
        environment=arguments.environment,
        strategy=arguments.strategy,
        weight=settings.percent(arguments.weight),
        record=_read_record(Path(arguments.record)) if arguments.record else None,
        alias=arguments.alias,
    )
    return _record(arguments, shape, "deploy", "/api/v1/deployments", body)


def rollback_record(arguments: argparse.Namespace, shape: str) -> int:
    """Record an emergency rollback to a version that served before."""
    settings.fill(arguments, os.environ, ("url", "token", "model", "environment", "reason", "incident"))
    if not (arguments.version or arguments.digest):
        raise Stop(Exit.USAGE, "Missing: --version or --digest of the version to go back to.")
    body = {
        "model": _given(name=arguments.model, version=arguments.version, digest=arguments.digest),
        "environment": arguments.environment,
        "reason": arguments.reason,
        "incident": arguments.incident,
        **_given(alias=arguments.alias),
    }
    return _record(arguments, shape, "rollback", "/api/v1/rollbacks", body)


def export(arguments: argparse.Namespace, shape: str) -> int:
    """Fetch a bundle of the audit log that verifies without the server."""
    settings.fill(arguments, os.environ, ("url", "token", "out"))
    scope = _given(
        everything=arguments.everything or None,
        model=arguments.model,
        environment=arguments.environment,
        since=arguments.since,
        until=arguments.until,
        disclose=[field for field in (arguments.disclose or "").split(",") if field],
        language=arguments.language,
    )
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    key = arguments.idempotency_key or settings.fresh_key()
    made = exports.fetch(server, scope, Path(arguments.out), key=key, request_id=arguments.request_id or "")
    first = f"EXPORTED  {made['entries']} entries, checkpoint of size {made['size']}"
    return outputs.told(made, shape, [first, f"{made['sha256']}  {arguments.out}"])


def digest(arguments: argparse.Namespace, shape: str) -> int:
    """Print the digest of a file or folder."""
    found = digest_of_path(Path(arguments.path))
    print(json.dumps({"digest": found, "path": arguments.path}) if shape == "json" else found, flush=True)
    return 0


def _record(arguments: argparse.Namespace, shape: str, command: str, path: str, body: dict[str, Any]) -> int:
    key = arguments.idempotency_key or settings.run_key(os.environ, command, body)
    raw = _post(arguments, path, body, key)
    recorded = raw.get("id")
    if not recorded or isinstance(recorded, bool) or not isinstance(recorded, int | str):
        raise Stop(Exit.UNDECIDED, "The answer names no record, so it is not known whether anything was recorded.")
    line = f"RECORDED  {command} {recorded} in {arguments.environment} {raw.get('since') or ''}"
    return outputs.told(raw, shape, [line])


def _post(arguments: argparse.Namespace, path: str, body: dict[str, Any], key: str) -> dict[str, Any]:
    for name, value in (("idempotency-key", key), ("request-id", arguments.request_id or "")):
        if not value.isascii() or not value.isprintable() or len(value) > 200:
            raise Stop(Exit.USAGE, f"--{name} must be at most 200 printable ASCII characters.")
    server = Server(arguments.url, arguments.token, settings.seconds(arguments.timeout))
    return server.post(path, body, key=key, request_id=arguments.request_id or "")


def _given(**values: Any) -> dict[str, Any]:
    """Only what was given: an empty flag must not become an empty field."""
    return {name: value for name, value in values.items() if value not in (None, "", {}, [])}


def _shape(arguments: argparse.Namespace) -> str:
    every = arguments.run in (check, waiting.wait, waiting.explain)
    known = tuple(outputs.SHAPES) if every else ("table", "json")
    if arguments.run is residency.show:
        known = (*known, "csv")
    return settings.choice("output", arguments.output or os.environ.get("COUNTERSIGN_OUTPUT"), known)


def _read_record(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise Stop(Exit.USAGE, f"{path} is not a JSON file with the strategy's record: {error}.") from error
    if not isinstance(found, dict) or not found:
        raise Stop(Exit.USAGE, f"{path} holds no object with the strategy's record.")
    return found


def _saved(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise Stop(Exit.USAGE, f"{path} is not an answer that countersign check saved: {error}.") from error
    if not isinstance(found, dict):
        raise Stop(Exit.USAGE, f"{path} is not an answer that countersign check saved.")
    return found


def _stopped(stop: Stop, shape: str) -> int:
    print(outputs.plain(f"countersign: {stop.sentence}"), file=sys.stderr)
    report = outputs.stopped(stop, shape)
    if report:
        print(report, flush=True)
    return stop.code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="countersign", description=__doc__, epilog=_EPILOG, allow_abbrev=False)
    parser.add_argument("--cli-version", action="version", version=f"countersign {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _gate(commands)
    _trail(commands)
    _decided(commands)
    _transfers(commands)
    explanations.add(commands, _command, _flags, _EPILOG)
    analyses.add(commands, _command, _flags, _EPILOG)
    _waivers(commands)
    signoffs.add(commands, _command, _flags)
    emergencies.add(commands, _command, _flags)
    _halts(commands)
    _command(commands, "residency", residency.show)
    _evidence(commands)
    proofs.add(commands, _command, _flags)
    one = commands.add_parser("digest", help=digest.__doc__, epilog=_EPILOG, allow_abbrev=False)
    one.add_argument("path")
    one.add_argument("--output")
    one.set_defaults(run=digest)
    return parser


def _gate(commands: Any) -> None:
    one = _command(commands, "check", check)
    _flags(one, model="name", version="number", digest="sha256:...", environment="slug")
    _flags(one, action=" | ".join(_ACTIONS), strategy="canary, blue_green, ...", weight="percent of the traffic")
    _flags(one, save="file for the whole answer with its permit (mode 0600)")
    _flags(one, wait="how long to wait for missing signatures, such as 30m")
    one.add_argument("--dry-run", action="store_true", help="decide, but record nothing; same exit codes")
    one.add_argument("--no-assert", action="store_true", help="with --dry-run: 0 for denied and pending, too")
    one.add_argument("--ways", action="store_true", help="below the report, how a recorded denial would pass")
    one = _command(commands, "wait", waiting.wait)
    _flags(one, decision="dec_... that is pending", save="file for the whole answer with its permit (mode 0600)")
    _flags(one, **{"for": "how long, such as 30m (default) or 2h"})
    _flags(_command(commands, "explain", waiting.explain), decision="dec_...")
    deploy = _group(commands, "deploy", "deploys")
    one = _command(deploy, "record", deploy_record)
    _flags(one, decision="decision_id", permit="secret of the permit", answer="file of check --save instead of both")
    _flags(one, environment="slug", strategy="canary, blue_green, ...", weight="percent of the traffic")
    _flags(one, record="JSON file of what the strategy records of its own")
    _flags(one, alias="alias of the model to point at the version")
    rollback = _group(commands, "rollback", "rollbacks")
    one = _command(rollback, "record", rollback_record)
    _flags(one, model="name", version="number to go back to", digest="sha256:...", environment="slug")
    _flags(one, reason="why", incident="number or link of the incident", alias="alias to point at the version")


def _trail(commands: Any) -> None:
    one = _command(commands, "export", export)
    _flags(one, model="name", environment="slug", since="first moment, RFC 3339", until="end, not part of it")
    _flags(one, disclose="private fields, with commas", language="en | ar", out="file that does not exist yet")
    one.add_argument("--everything", action="store_true", help="the whole log")
    graph = commands.add_parser("lineage", help="ask where data came from", epilog=_EPILOG, allow_abbrev=False)
    ways = graph.add_subparsers(required=True, metavar="COMMAND")
    one = _command(ways, "closure", lineage.closure)
    _flags(one, focus="dataset:..., run:..., version:..., ...", direction="downstream (default) | upstream")
    one = _command(ways, "paths", lineage.paths)
    _flags(one, source="dataset:...", target="version:...", limit="shortest ways to list, 10 by default")
    one = _command(commands, "reached", lineage.reached)
    _flags(one, subject="dataset:..., run:..., version:..., model:..., region:...", since="first moment, RFC 3339")


def _decided(commands: Any) -> None:
    decided = commands.add_parser("decision", help="show, replay, or how to pass", epilog=_EPILOG, allow_abbrev=False)
    ways = decided.add_subparsers(required=True, metavar="COMMAND")
    _flags(_command(ways, "get", decisions.get), decision="dec_...")
    one = _command(ways, "replay", decisions.replay)
    _flags(one, decision="dec_...", packs="then (default): must give the same | now: what today's policies say")
    _flags(_command(ways, "ways", decisions.ways), decision="dec_... that was denied: what would let it pass")
    packs = commands.add_parser("policy", help="check or try a policy pack", epilog=_EPILOG, allow_abbrev=False)
    ways = packs.add_subparsers(required=True, metavar="COMMAND")
    _flags(_command(ways, "lint", policy.lint), file="the pack as YAML")
    one = _command(ways, "test", policy.test)
    one.add_argument("file", nargs="?", metavar="FILE", help="the pack as YAML [COUNTERSIGN_FILE]")
    _flags(_command(ways, "draft", policy.draft), file="the pack as YAML", reason="why it changes")
    one = _command(ways, "backtest", policy.backtest)
    _flags(one, pack="name", number="version of the pack", wait="seconds to wait for the result, 600 by default")


def _transfers(commands: Any) -> None:
    group = commands.add_parser("transfers", help="transfer safeguards", epilog=_EPILOG, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    one = _command(ways, "list", transfers.listed)
    _flags(one, cursor="of the page before")
    one = _command(ways, "get", transfers.get)
    _flags(one, reference="for example TS-1")
    one = _command(ways, "record", transfers.record)
    _flags(one, reference="for example TS-1", type="SCC | BCR | ACCREDITATION_CERT | ADEQUACY | DEROGATION")
    _flags(one, law="under whose law it is made: SA | AE-federal | AE-ADGM | AE-DIFC | QA | QA-QFC | BH | EU")
    _flags(one, document="its name", file="the document, whose SHA-256 is computed here")
    _flags(
        one,
        document_digest="sha256:... instead",
        subjects="dataset:...,environment:...",
        regions="provider:region,...",
        expires="RFC 3339",
    )
    _flags(one, exporter="who sends", importer="who receives", assessed="when the risk was assessed, RFC 3339")
    _flags(one, assessment="JSON file with the elements A to F")
    one = _command(ways, "approve", transfers.approve)
    _flags(one, reference="for example TS-1", reason="what was checked")
    one = _command(ways, "revoke", transfers.revoke)
    _flags(one, reference="for example TS-1", reason="why it is revoked")


def _waivers(commands: Any) -> None:
    group = commands.add_parser("waivers", help="rules excused until a day", epilog=_EPILOG, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    one = _command(ways, "list", waivers.listed)
    _flags(one, cursor="of the page before")
    one = _command(ways, "get", waivers.get)
    _flags(one, reference="for example WV-2026-0001")
    one = _command(ways, "propose", waivers.propose)
    _flags(one, model="name", version="number", environment="slug", pack="pack in force", rule="waivable rule")
    _flags(one, subjects="version:...,dataset:... as the findings name them", reason="why the rule cannot be met")
    _flags(one, control="what is done instead", starts="RFC 3339, now by default", ends="RFC 3339, 90 days at most")
    one = _command(ways, "revoke", waivers.revoke)
    _flags(one, reference="for example WV-2026-0001", reason="why it is revoked")


def _halts(commands: Any) -> None:
    group = commands.add_parser("halts", help="transfers to be halted", epilog=_EPILOG, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    _flags(_command(ways, "list", halts.listed), cursor="of the page before")
    _flags(_command(ways, "take", halts.take), reference="of the safeguard, for example TS-1")
    one = _command(ways, "done", halts.done)
    _flags(
        one, reference="of the safeguard", reason="how it was halted", recipients="who was notified, with semicolons"
    )


def _evidence(commands: Any) -> None:
    group = commands.add_parser("evidence", help="evidence for a version", epilog=_EPILOG, allow_abbrev=False)
    ways = group.add_subparsers(required=True, metavar="COMMAND")
    one = _command(ways, "list", evidence.listed)
    _flags(one, model="name", version="number", type="fairness, dpia, ...", environment="slug")
    _flags(one, cursor="of the page before")
    one = _command(ways, "record", evidence.record)
    _flags(one, type="validation_report, fairness, privacy_check, ...", model="name", version="number")
    _flags(one, digest="sha256:... of the files that were looked at", environment="slug; every one when left out")
    _flags(one, file="the document, whose SHA-256 is computed here", document_digest="sha256:... instead")
    _flags(one, title="its title", author="who made it", issued="when, RFC 3339", expires="its end, RFC 3339")
    _flags(one, signature="a DSSE envelope or Sigstore bundle over a statement about the files")
    one = _command(ways, "withdraw", evidence.withdraw)
    _flags(one, reference="for example EV-2026-0001", reason="why it is withdrawn")
    one = _command(ways, "keys", evidence.keys)
    _flags(one, cursor="of the page before")


def _group(commands: Any, name: str, what: str) -> Any:
    group = commands.add_parser(name, help=f"record {what}", epilog=_EPILOG, allow_abbrev=False)
    return group.add_subparsers(required=True, metavar="COMMAND")


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace, str], int]) -> argparse.ArgumentParser:
    one: argparse.ArgumentParser = commands.add_parser(name, help=run.__doc__, epilog=_EPILOG, allow_abbrev=False)
    one.set_defaults(run=run)
    _flags(one, url="address of the server", token="API token; rather set COUNTERSIGN_TOKEN", output="report's shape")
    _flags(one, timeout="seconds, 30 by default", idempotency_key="key of this request", request_id="X-Request-ID")
    return one


def _flags(parser: argparse.ArgumentParser, **flags: str) -> None:
    for name, what in flags.items():
        parser.add_argument(f"--{name.replace('_', '-')}", help=f"{what} [COUNTERSIGN_{name.upper()}]")
