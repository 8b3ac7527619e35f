"""The examples in ``docs/ci``: parsed, and their very lines run with the real client against the real server."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from governance.models.permit import Permit
from registry.models import Deployment
from tests import personas
from tests.governance import scene
from tests.serving import ROOT, WebServer, Workspace, web_server, workspace

EXAMPLES = ROOT / "docs" / "ci"


@dataclass
class Job:
    """``lines`` stop at the first that fails; ``always`` run in any case. Each has a shell of its own."""

    lines: list[str]
    always: list[str]
    variables: dict[str, str] = field(default_factory=dict)
    shell: tuple[str, ...] = ("bash", "-eo", "pipefail", "-c")


def github() -> Job:
    text = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text(encoding="utf-8"))
    (job,) = text["jobs"].values()
    steps = [step for step in job["steps"] if "run" in step]
    return Job(
        [step["run"] for step in steps if "if" not in step],
        [step["run"] for step in steps if step.get("if") == "always()"],
        {name: value for name, value in job["env"].items() if "${{" not in value},
    )


def gitlab() -> Job:
    text = yaml.safe_load((EXAMPLES / "gitlab-ci.yml").read_text(encoding="utf-8"))
    job = text["deploy-model"]
    one = "\n".join([*job["before_script"], *job["script"]])
    return Job([one], job["after_script"], job["variables"])


def jenkins() -> Job:
    text = (EXAMPLES / "Jenkinsfile").read_text(encoding="utf-8")
    stages, post = text.split("\n  post {")
    values = dict(re.findall(r"^    (\w+) = '([^']*)'$", stages, re.MULTILINE))
    steps = re.compile(r"\bsh '([^']+)'")
    return Job(steps.findall(stages), steps.findall(post), values, ("sh", "-xe", "-c"))


JOBS = {"github": github, "gitlab": gitlab, "jenkins": jenkins}


@pytest.fixture(scope="module", params=JOBS)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Job, Workspace]:
    made = workspace(tmp_path_factory.mktemp(request.param) / "checkout")
    deploy = made.folder / "deploy.sh"
    deploy.write_text('#!/bin/sh\necho "$1 $2" >> deployed\n')
    deploy.chmod(0o755)
    return JOBS[request.param](), made


@pytest.fixture
def bank(committed_db: Any) -> scene.Bank:
    return scene.build()


@pytest.fixture
def served(bank: scene.Bank, committed_db: Any, tmp_path: Path) -> Iterator[WebServer]:
    with web_server(committed_db.url(), tmp_path) as server:
        yield server


def _run(example: tuple[Job, Workspace], server: WebServer, **more: str) -> tuple[bool, bool, list[str]]:
    """Whether the job succeeded, whether it deployed, and what was printed."""
    job, place = example
    variables = job.variables | {
        "COUNTERSIGN_URL": server.url,
        "COUNTERSIGN_TOKEN": personas.token_of("ci"),
        "COUNTERSIGN_VERSION": "14",
        "COUNTERSIGN_WAIT_FOR": "1s",
        "RUNNER_TEMP": str(place.folder),
        "CI_PROJECT_DIR": str(place.folder / "project"),
        **more,
    }
    (place.folder / "deployed").unlink(missing_ok=True)
    good, printed = True, []
    for line in job.lines:
        done = place.run(*job.shell, line, **variables)
        printed += [done.stdout, done.stderr]
        if done.returncode:
            good = False
            break
    for line in job.always:
        printed.append(place.run(*job.shell, line, **variables).stdout)
    return good, (place.folder / "deployed").exists(), printed


def test_what_is_allowed_is_deployed_and_recorded(
    example: tuple[Job, Workspace], bank: scene.Bank, served: WebServer
) -> None:
    scene.approved(bank)
    good, deployed, printed = _run(example, served)
    assert good, printed
    assert deployed
    assert Deployment.objects.filter(version=bank.new, environment=bank.uae).count() == 1
    assert Permit.objects.get().consumed_at is not None


def test_what_is_denied_pending_or_unanswered_is_not_deployed(
    example: tuple[Job, Workspace], bank: scene.Bank, served: WebServer
) -> None:
    assert _run(example, served)[:2] == (False, False)  # nobody signed in time
    assert _run(example, served, COUNTERSIGN_ENVIRONMENT="dr-frankfurt")[:2] == (False, False)
    assert _run(example, served, COUNTERSIGN_TOKEN="csn_wrong")[:2] == (False, False)
    scene.approved(bank)
    with served.hanging():
        assert _run(example, served, COUNTERSIGN_TIMEOUT="1")[:2] == (False, False)
    served.stop()
    assert _run(example, served)[:2] == (False, False)
    assert not Deployment.objects.exists()


def test_no_example_forgives_a_failure() -> None:
    for file in (each for each in EXAMPLES.iterdir() if each.suffix != ".md"):
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"continue-on-error|allow_failure|\|\| *true|catchError|returnStatus|set \+e", text), file


def test_shell_lines_are_found_in_each_example() -> None:
    for make in JOBS.values():
        whole = "\n".join(make().lines)
        found = [whole.find(part) for part in ("pip install", "countersign check", "./deploy.sh", "deploy record")]
        assert found == sorted(found)
        assert -1 not in found
        assert subprocess.run(["bash", "-n", "-c", whole], check=False).returncode == 0
