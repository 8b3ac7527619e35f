"""Talking to the process manager: start, wait, stop. supervisord is the parent of every process of the stack."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from xmlrpc.client import Fault, ServerProxy

from config.stack.failure import StackFailure
from config.stack.programs import BIN, Program, supervisor_conf

#: What the caller's environment says about servers is for the supervisor alone: its children read the state folder,
#: so that none of them inherits the administrator's DATABASE_URL.
NOT_INHERITED = {
    "DATABASE_URL",
    "SECRET_KEY",
    "COUNTERSIGN_OFFLINE",
    "SEQUENCER_DATABASE_URL",
    "SUBJECT_KEYS_DATABASE_URL",
    "ERASER_DATABASE_URL",
    "TEST_DATABASE_ADMIN_URL",
}


class Supervisor:
    """A running supervisord and its control connection."""

    def __init__(self, state: Path, control_port: int, password: str) -> None:
        self.state = state
        self.control_port = control_port
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None
        self.rpc: Any = ServerProxy(
            f"http://stack:{password}@127.0.0.1:{control_port}/RPC2", allow_none=True
        ).supervisor

    def launch(self, programs: Iterable[Program]) -> None:
        """Write the configuration (0600: it holds the control password) and start supervisord with nothing running."""
        self.write(programs)
        environment = {k: v for k, v in os.environ.items() if k not in NOT_INHERITED}
        environment["COUNTERSIGN_STATE"] = str(self.state)
        self.process = subprocess.Popen(
            [str(BIN / "supervisord"), "-n", "-c", str(self.state / "supervisord.conf")],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=(self.state / "logs" / "supervisord.err").open("wb"),
            start_new_session=True,  # Ctrl-C reaches us alone; we then stop the children in order
        )
        self.until("the process manager", lambda: bool(self.rpc.getState()), seconds=15)

    def write(self, programs: Iterable[Program]) -> None:
        """(Re)write the configuration file."""
        path = self.state / "supervisord.conf"
        path.touch(mode=0o600)
        path.write_text(supervisor_conf(self.state, programs, control_port=self.control_port, password=self.password))

    def add(self, programs: Iterable[Program], names: Iterable[str]) -> None:
        """Take programs into the running supervisord that were not known when it started."""
        self.write(programs)
        self.rpc.reloadConfig()
        for name in names:
            try:
                self.rpc.addProcessGroup(name)
            except Fault as fault:
                if "ALREADY_ADDED" not in fault.faultString:
                    raise

    def start(self, *names: str) -> None:
        """Start programs without waiting for them; one that runs already is left alone."""
        for name in names:
            try:
                self.rpc.startProcess(name, False)
            except Fault as fault:
                if "ALREADY_STARTED" not in fault.faultString:
                    raise StackFailure(f"{name} did not start: {fault.faultString}") from None

    def halt(self, name: str) -> None:
        """Stop one program and wait until it ended; one that does not run is left alone."""
        try:
            self.rpc.stopProcess(name)
        except Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise StackFailure(f"{name} did not stop: {fault.faultString}") from None

    def until(self, what: str, ready: Callable[[], bool], *, seconds: int, log: str = "supervisord") -> None:
        """Wait for ``ready``. Raises StackFailure with the end of the program's log when it does not come."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process and self.process.poll() is not None:
                raise StackFailure(f"The process manager ended by itself.\n{self.tail('supervisord')}")
            try:
                if ready():
                    return
            except (OSError, Fault, StackFailure):
                pass
            time.sleep(0.1)
        raise StackFailure(f"{what} did not become ready within {seconds} s. The end of its log:\n{self.tail(log)}")

    def tail(self, name: str) -> str:
        """The last lines of a program's log."""
        path = self.state / "logs" / f"{name}.log"
        return path.read_text(errors="replace")[-1500:] if path.exists() else "(no log)"

    def stop(self) -> None:
        """Stop every child in reverse order of start, then supervisord itself."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def answers(url: str) -> bool:
    """Whether an HTTP GET answers with a 2xx."""
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310  (our own loopback address)
            return bool(200 <= response.status < 300)
    except (urllib.error.URLError, OSError, ValueError):
        return False
