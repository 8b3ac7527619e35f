"""A server ends with all of its processes, and one that does not start says why."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.explain.real import running
from tests.explain.real.environments import Environment

#: Ends only when it is killed, and so does its child, which has a process group of its own as Ray's workers do.
STUBBORN = """
import http.server, os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN) if sys.argv[2] == "stubborn" else None
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], process_group=0)
open("child", "w").write(str(child.pid))
class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready).serve_forever()
"""


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not yet asked for its result does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("manner", ["polite", "stubborn"])
def test_nothing_is_left_of_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manner: str) -> None:
    monkeypatch.setattr(running, "END", 1)
    (port,) = running.ports(1)
    here = Environment(Path(sys.prefix), 0.0)
    command = [here.python, "-c", STUBBORN, port, manner]
    with running.started(here, command, f"http://127.0.0.1:{port}/", folder=tmp_path):
        child = int((tmp_path / "child").read_text())
        assert alive(child)
    latest = time.monotonic() + 5
    while alive(child) and time.monotonic() < latest:
        time.sleep(0.05)
    assert not alive(child)


def test_one_that_does_not_start_is_told_with_its_own_words(tmp_path: Path) -> None:
    here = Environment(Path(sys.prefix), 0.0)
    (port,) = running.ports(1)
    command = [here.python, "-c", "raise SystemExit('no model there')"]
    with (
        pytest.raises(RuntimeError, match="no model there"),
        running.started(here, command, f"http://127.0.0.1:{port}/", folder=tmp_path),
    ):
        pass


def test_a_server_sees_nothing_of_this_projects_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COUNTERSIGN_STATE", "/secret")
    seen = running.surroundings(Environment(Path("/somewhere"), 0.0))
    assert not [name for name in seen if name.startswith(("DJANGO", "COUNTERSIGN"))]
    assert seen["PATH"].split(os.pathsep)[0] == "/somewhere/bin"
    assert seen["RAY_USAGE_STATS_ENABLED"] == "0"
