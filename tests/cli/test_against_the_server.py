"""The client, installed alone in an empty environment, against the real server: running, stopped and hanging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from governance.models.decision import Decision
from tests import personas
from tests.governance import scene
from tests.governance.scene import Bank
from tests.serving import WebServer, Workspace, web_server, workspace


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """One command installs the client."""
    made = workspace(tmp_path_factory.mktemp("ci") / "checkout")
    done = made.run("pip", "install", "./cli")
    assert done.returncode == 0, done.stderr
    return made


@pytest.fixture
def bank(committed_db: Any) -> Bank:
    return scene.build()


@pytest.fixture
def served(bank: Bank, committed_db: Any, tmp_path: Path) -> Iterator[WebServer]:
    with web_server(committed_db.url(), tmp_path) as server:
        yield server


def _ask(place: Workspace, server: WebServer, *flags: str, **more: str) -> subprocess.CompletedProcess[str]:
    """``check`` of the candidate in production; ``more`` replaces environment variables."""
    usual = {
        "COUNTERSIGN_URL": server.url,
        "COUNTERSIGN_TOKEN": more.get("COUNTERSIGN_TOKEN") or personas.token_of("ci"),
        "COUNTERSIGN_MODEL": "credit-scoring",
        "COUNTERSIGN_VERSION": "14",
        "COUNTERSIGN_ENVIRONMENT": "prod-uae",
        "PYTHONPATH": "",
    }
    return place.run("countersign", "check", *flags, **usual | more)


@pytest.mark.parametrize("package", ["django", "numpy", "mlflow", "requests", "httpx"])
def test_nothing_else_comes_with_it(place: Workspace, package: str) -> None:
    assert place.run("python", "-c", f"import {package}", PYTHONPATH="").returncode != 0
    assert place.run("python", "-c", "import countersign.commands", PYTHONPATH="").returncode == 0
    listed = json.loads(place.run("pip", "list", "--format", "json", PYTHONPATH="").stdout)
    assert {one["name"] for one in listed} - {"pip", "setuptools"} == {"countersign"}


def test_each_exit_code_of_a_running_server(place: Workspace, bank: Bank, served: WebServer, tmp_path: Path) -> None:
    assert _ask(place, served).returncode == 3
    assert _ask(place, served, COUNTERSIGN_ENVIRONMENT="dr-frankfurt").returncode == 1
    assert _ask(place, served, "--dry-run", "--no-assert", COUNTERSIGN_ENVIRONMENT="dr-frankfurt").returncode == 0
    assert _ask(place, served, COUNTERSIGN_ENVIRONMENT="nowhere").returncode == 2
    assert _ask(place, served, COUNTERSIGN_DIGEST=scene.digest_of("another")).returncode == 6
    assert _ask(place, served, COUNTERSIGN_TOKEN="csn_wrong").returncode == 5
    weak = personas.token_of("ci", scopes=("registry.read",))
    assert _ask(place, served, COUNTERSIGN_TOKEN=weak).returncode == 5
    scene.approved(bank)
    answer = tmp_path / "answer.json"
    done = _ask(place, served, "--save", str(answer), "--output", "json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert Decision.objects.get(public_id=told["decision_id"]).outcome == "allow"
    record = ["deploy", "record", "--answer", str(answer), "--environment", "prod-uae"]
    values = {"COUNTERSIGN_URL": served.url, "COUNTERSIGN_TOKEN": personas.token_of("ci")}
    assert place.run("countersign", *record, **values).returncode == 0
    assert place.run("countersign", *record, "--idempotency-key", "again", **values).returncode == 1


def test_waiting_ends_with_the_last_signature(place: Workspace, bank: Bank, served: WebServer) -> None:
    promotion = scene.request(bank)
    scene.sign(promotion, "layla", "ml_lead")
    known = Decision.objects.count()
    found: list[subprocess.CompletedProcess[str]] = []
    token = personas.token_of("ci")
    asking = threading.Thread(target=lambda: found.append(_ask(place, served, "--wait", "2m", COUNTERSIGN_TOKEN=token)))
    asking.start()
    while Decision.objects.count() == known:
        time.sleep(0.1)
    scene.sign(promotion, "omar", "compliance_officer")
    asking.join(100)
    assert found[0].returncode == 0, found[0].stderr
    assert found[0].stdout.startswith("ALLOWED")


def test_a_server_that_dies_while_one_waits_is_no_answer(place: Workspace, bank: Bank, served: WebServer) -> None:
    known = Decision.objects.count()
    found: list[subprocess.CompletedProcess[str]] = []
    token = personas.token_of("ci")
    asking = threading.Thread(target=lambda: found.append(_ask(place, served, "--wait", "2m", COUNTERSIGN_TOKEN=token)))
    asking.start()
    while Decision.objects.count() == known:
        time.sleep(0.1)
    time.sleep(0.5)
    os.killpg(served.process.pid, signal.SIGKILL)
    asking.join(100)
    assert found[0].returncode == 4, found[0].stdout


def test_a_hanging_and_a_stopped_server_exit_4(place: Workspace, bank: Bank, served: WebServer) -> None:
    scene.approved(bank)
    token = personas.token_of("ci")
    with served.hanging():
        assert _ask(place, served, "--timeout", "1", COUNTERSIGN_TOKEN=token).returncode == 4
        assert (
            _ask(place, served, "--timeout", "1", "--dry-run", "--no-assert", COUNTERSIGN_TOKEN=token).returncode == 4
        )
    assert _ask(place, served, COUNTERSIGN_TOKEN=token).returncode == 0
    served.stop()
    done = _ask(place, served, COUNTERSIGN_TOKEN=token)
    assert done.returncode == 4
    assert "did not answer" in done.stderr


def test_explain_shows_what_was_recorded(place: Workspace, bank: Bank, served: WebServer) -> None:
    told = json.loads(_ask(place, served, "--output", "json", COUNTERSIGN_ENVIRONMENT="dr-frankfurt").stdout)
    values = {"COUNTERSIGN_URL": served.url, "COUNTERSIGN_TOKEN": personas.token_of("ci")}
    for shape in ("table", "json", "sarif", "junit", "md", "github"):
        done = place.run("countersign", "explain", "--decision", told["decision_id"], "--output", shape, **values)
        assert done.returncode == 0, done.stderr
        assert told["findings"][0]["rule"] in done.stdout.replace("\\", "")
