"""A real HTTP server that answers whatever a test tells it, and a runner for the real command.

It stands in for the product's server on purpose: the cases here are answers that the real one never gives (truncated
bodies, unknown words, redirects, silence). The command against the real server is tested in the journeys.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CLI = Path(__file__).parents[2] / "cli"
DIGEST = "sha256:" + "a" * 64


@dataclass
class Received:
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class Gate:
    """What to answer, and what was received. ``raw`` replaces the JSON of ``answer``; ``act`` does anything else."""

    url: str = ""
    status: int = 200
    answer: Any = None
    raw: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)
    act: Callable[[BaseHTTPRequestHandler], None] | None = None
    received: list[Received] = field(default_factory=list)


@contextmanager
def serving(gate: Gate) -> Iterator[Gate]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            sent = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            gate.received.append(Received(self.path, dict(self.headers), json.loads(sent or b"null")))
            if gate.act is not None:
                gate.act(self)
                return
            body = gate.raw if gate.raw is not None else json.dumps(gate.answer).encode()
            self.send_response(gate.status)
            kind = "application/json" if gate.status < 400 else "application/problem+json"
            for name, value in {"Content-Type": kind, "Content-Length": str(len(body)), **gate.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST  # noqa: N815  (a followed redirect would arrive as GET)

        def log_message(self, *_args: Any) -> None:
            """Silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    gate.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield gate
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a pipeline runs it, in an environment of its own and without any installed package (``-S``)."""
    inherited = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "-S", "-m", "countersign", *arguments],
        env={**inherited, "PYTHONPATH": str(CLI), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def ask(gate: Gate, *more: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """``countersign check`` of the usual case against ``gate``."""
    usual = ["--model", "credit-scoring", "--version", "14", "--environment", "prod-uae"]
    values = {"COUNTERSIGN_URL": gate.url, "COUNTERSIGN_TOKEN": "cs_secret", **environment}
    return run("check", *usual, *more, **values)


def allowed(**changes: Any) -> dict[str, Any]:
    """An answer that allows; every part can be replaced."""
    return {
        "decision_id": "dec_1",
        "decision": "allow",
        "mode": "enforce",
        "action": "promote",
        "model": {"name": "credit-scoring", "version": "14", "digest": DIGEST},
        "environment": "prod-uae",
        "subject_digest": "sha256:" + "b" * 64,
        "valid_until": "2999-12-01T00:00:00Z",
        "summary": "4 findings passed",
        "findings": [finding(outcome="pass", message="fine", remedy="")],
        "signoff": {"state": "approved", "missing": [], "url": "https://c.example/promotions/1"},
        "policy": [{"pack": "ksa-pdpl", "version": 1, "digest": "sha256:" + "c" * 64}],
        "facts_digest": "sha256:" + "d" * 64,
        "engine": {"name": "cel-expr-python", "version": "0.1.3"},
        "permit": {"secret": "csp_permit", "expires_at": "2026-11-22T10:00:00Z"},
        "links": {"html": "https://c.example/decisions/dec_1"},
        **changes,
    }


def denied(**changes: Any) -> dict[str, Any]:
    return allowed(
        **{"decision": "deny", "permit": None, "summary": "1 blocking finding", "findings": [finding()], **changes}
    )


def finding(**changes: Any) -> dict[str, Any]:
    return {
        "rule": "SA-RES-001",
        "outcome": "fail",
        "severity": "block",
        "title": "Personal data stay in the Kingdom",
        "cites": ["PDPL Art. 29(2)"],
        "subject": "dataset:loans",
        "path": ["version:credit-scoring/14", "dataset:loans"],
        "facts": {"region": "aws:eu-central-1"},
        "failed": ["in_region"],
        "closest": [{"id": "TS-1", "failed": ["not_expired"]}],
        "message": "dataset:loans is in aws:eu-central-1",
        "remedy": "Move dataset:loans",
        "who": ["dpo"],
        "where": "/transfers",
        **changes,
    }


def free_port() -> int:
    """A port on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
