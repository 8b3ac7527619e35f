"""A real MLflow tracking server, and what can stand in front of it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import free_port

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true", "GIT_PYTHON_REFRESH": "quiet"}
ENVIRONMENT["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
ENVIRONMENT["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"


@dataclass(frozen=True)
class Tracking:
    """A running server; ``files`` is the folder behind its artifact proxy, ``pid`` leads its process group."""

    url: str
    files: Path
    pid: int

    def kill(self) -> None:
        """End it at once, in the middle of whatever it does."""
        os.killpg(self.pid, 9)

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        """One call of the REST API that changes something in MLflow."""
        answer = httpx.request(method, f"{self.url}/api/2.0/mlflow/{path}", json=body, timeout=30)
        answer.raise_for_status()
        result: dict[str, Any] = answer.json()
        return result

    def point(self, model: str, alias: str, version: int) -> None:
        """Set an alias, as anybody can in MLflow."""
        self.call("POST", "registered-models/alias", name=model, alias=alias, version=str(version))

    def log_models(self) -> None:
        """Log two versions of a model with runs and data sets, by a script of its own with MLflow's client."""
        subprocess.run(
            [sys.executable, "-m", "tests.registry.logging_to_mlflow"],
            env={**ENVIRONMENT, "MLFLOW_TRACKING_URI": self.url},
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=120,
        )


@contextmanager
def running(folder: Path, **variables: str) -> Iterator[Tracking]:
    """``mlflow server`` on SQLite with its artifact proxy, as the stack starts it; more ``variables`` as given."""
    port, files = free_port(), folder / "artifacts"
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(files)]
    with (folder / "log").open("wb") as log:
        environment = {**ENVIRONMENT, **variables}
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        try:
            _wait(f"http://127.0.0.1:{port}/health", process, folder / "log")
            yield Tracking(f"http://127.0.0.1:{port}", files, process.pid)
        finally:
            with suppress(ProcessLookupError):  # a test may have ended it
                os.killpg(process.pid, 15)
            process.wait(20)


def _wait(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(url, timeout=5).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise RuntimeError(log.read_text()[-3000:])


#: Called with a request's path; answers status, body and headers. A status of 0 hangs up in the middle of an answer.
Answer = tuple[int, bytes, dict[str, str]]


@contextmanager
def standing_in(
    answer: Callable[[str], Answer],
    note: Callable[[Any], None] | None = None,
    question: Callable[[str, bytes], Answer] | None = None,
) -> Iterator[str]:
    """The address of a server of our own on a real socket, because a real MLflow does not fail on demand.

    ``note`` is given the headers of each request; ``question`` answers a POST by its path and body.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send(*answer(self.path))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send(*(question(self.path, body) if question else (501, b"", {})))

        def send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            if note:
                note(self.headers)
            self.send_response(status or 200)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(body) + (status == 0)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def forwarded(tracking: Tracking, path: str, body: bytes | None = None) -> Answer:
    """What the real server answers to the same request: a POST when there is a body."""
    kind = {"content-type": "application/json"}
    answer = httpx.request("POST" if body else "GET", f"{tracking.url}{path}", content=body, headers=kind, timeout=30)
    return answer.status_code, answer.content, {"content-type": answer.headers["content-type"]}
