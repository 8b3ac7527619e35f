"""The real stack for journeys: ``manage.py demo`` as a process of its own, on its own state folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

import httpx

from config.stack.state import free_port

ROOT = Path(__file__).resolve().parent.parent
SECONDS_TO_START = 420


@dataclass
class RunningStack:
    """A started demo: where it is, who can sign in, and the handles to break parts of it on purpose."""

    state: Path
    port: int
    process: subprocess.Popen[str]
    url: str = ""
    token: str = ""
    passwords: dict[str, str] = field(default_factory=dict)
    output: list[str] = field(default_factory=list)
    clients: list[httpx.Client] = field(default_factory=list)

    def browser(self, username: str) -> httpx.Client:
        """An HTTP client that signed in through the login form."""
        client = httpx.Client(base_url=self.url, follow_redirects=True, timeout=30, headers={"Referer": self.url})
        self.clients.append(client)
        page = client.get("/login")
        form = {"username": username, "password": self.passwords[username], "csrfmiddlewaretoken": token_in(page.text)}
        answer = client.post("/login", data=form)
        assert answer.status_code == 200, answer.text[:2000]
        assert "/login" not in str(answer.url), f"{username} could not sign in"
        return client

    def api(self, token: str = "") -> httpx.Client:
        """An HTTP client with CI's token."""
        headers = {"Authorization": f"Bearer {token or self.token}"}
        return httpx.Client(base_url=f"{self.url}/api/v1/", timeout=30, headers=headers)

    def cli(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """The command-line client as a pipeline would run it."""
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COUNTERSIGN_")}
        environment |= {"COUNTERSIGN_URL": self.url, "COUNTERSIGN_TOKEN": self.token, **variables}
        command = [str(Path(sys.executable).parent / "countersign"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def manage(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A management command beside the running stack."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    def environment(self) -> dict[str, str]:
        """The environment of commands beside this stack."""
        return clean_environment() | {"COUNTERSIGN_STATE": str(self.state), "COUNTERSIGN_PORT": str(self.port)}

    @contextmanager
    def without(self, program: str) -> Iterator[None]:
        """Stop one process of the stack for a while."""
        self.control("stopProcess", program)
        try:
            yield
        finally:
            self.control("startProcess", program)
            self.wait_ready()

    def control(self, method: str, *arguments: str) -> Any:
        """One call of the process manager's RPC."""
        ports = json.loads((self.state / "ports.json").read_text())
        secrets = json.loads((self.state / "secrets" / "generated.json").read_text())
        address = f"http://stack:{secrets['control']}@127.0.0.1:{ports['control']}/RPC2"
        with ServerProxy(address, allow_none=True) as proxy:
            return getattr(proxy.supervisor, method)(*arguments)

    def pid_of(self, program: str) -> int:
        """The process id of a supervised program; 0 while it does not run."""
        try:
            return int(self.control("getProcessInfo", program)["pid"])
        except Fault:
            return 0

    def wait_ready(self, seconds: int = 60) -> None:
        """Until ``/readyz`` answers 200."""
        eventually(lambda: httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200, seconds=seconds)


def clean_environment() -> dict[str, str]:
    """The caller's environment without anything that would point at another installation."""
    ours = {"DATABASE_URL", "CELERY_BROKER_URL", "MLFLOW_TRACKING_URI", "DJANGO_SETTINGS_MODULE", "PUBLIC_URL"}
    ours.add("ALLOWED_HOSTS")
    return {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("COUNTERSIGN_")}


def token_in(page: str) -> str:
    """The CSRF token of the first form on a page."""
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, "the page has no form"
    return found.group(1)


def eventually(holds: Any, *, seconds: float = 30, every: float = 0.2) -> Any:
    """The first truthy answer of ``holds``; fails when none comes in time. Connection errors count as "not yet"."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if answer := holds():
                return answer
        except (httpx.HTTPError, OSError):
            pass
        time.sleep(every)
    raise AssertionError(f"it did not happen within {seconds} s")


def launch(state: Path, port: int, command: str = "demo", **variables: str) -> RunningStack:
    """Start the stack and read its output in the background."""
    process = subprocess.Popen(
        [sys.executable, "manage.py", command],
        cwd=ROOT,
        env=clean_environment() | {"COUNTERSIGN_STATE": str(state), "COUNTERSIGN_PORT": str(port), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    stack = RunningStack(state, port, process)
    threading.Thread(target=_read, args=(stack,), daemon=True).start()
    return stack


def _read(stack: RunningStack) -> None:
    assert stack.process.stdout
    with stack.process.stdout as lines:
        _parse(stack, lines)


def _parse(stack: RunningStack, lines: Iterable[str]) -> None:
    for line in lines:
        stack.output.append(line.rstrip("\n"))
        if found := re.match(r"  (\w+) +(\S+) +\w+ \w+, ", line):
            stack.passwords[found.group(1)] = found.group(2)
        if found := re.match(r"  CI token  (\S+)", line):
            stack.token = found.group(1)
        if found := re.search(r"ready at (http://\S+)", line):
            stack.url = found.group(1)


def wait_started(stack: RunningStack) -> None:
    """Until the address is printed; fails with the output when the command ends first."""
    deadline = time.monotonic() + SECONDS_TO_START
    while not stack.url:
        assert stack.process.poll() is None, "\n".join(stack.output)
        assert time.monotonic() < deadline, "\n".join(stack.output)
        time.sleep(0.2)
    stack.wait_ready()


def refused(state: Path, port: int, **variables: str) -> list[str]:
    """What a start that must not succeed says before it ends with 1."""
    environment = clean_environment() | {"COUNTERSIGN_STATE": str(state), "COUNTERSIGN_PORT": str(port), **variables}
    command = [sys.executable, "manage.py", "demo"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    return (done.stdout + done.stderr).splitlines()


def stop(stack: RunningStack) -> int:
    """Ctrl-C, and wait until everything ended. Returns the exit code."""
    stack.process.send_signal(signal.SIGINT)
    return stack.process.wait(90)


@contextmanager
def running_demo() -> Iterator[RunningStack]:
    """The demo from nothing, removed afterwards."""
    state = Path(tempfile.mkdtemp(prefix="countersign-journeys-"))
    stack = launch(state, free_port())
    try:
        wait_started(stack)
        yield stack
    finally:
        for client in stack.clients:
            client.close()
        if stack.process.poll() is None:
            stop(stack)
        data = state / "postgres"
        if data.is_symlink():
            shutil.rmtree(data.resolve().parent, ignore_errors=True)
        shutil.rmtree(state, ignore_errors=True)
