"""A producer that is not ours: dbt with OpenLineage's own wrapper, on DuckDB, from an environment of its own.

Its packages are locked with hashes in ``producer.lock`` and stay out of ours: they would take back protobuf and others.
The environment is made once per lock, in the temporary folder.
"""

from __future__ import annotations

import fcntl
import getpass
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from celery import current_app

from registry import models, tasks
from registry.queries import edges_from
from tests.conftest import CommittedDatabase
from tests.registry.site import producer, serving, token_of

HERE = Path(__file__).parent
LOCK = HERE / "producer.lock"


@pytest.fixture(scope="module")
def dbt() -> Path:
    """The folder with the programs ``dbt`` and ``dbt-ol``."""
    name = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    home = Path(tempfile.gettempdir()) / f"countersign-producer-{getpass.getuser()}-{name}"
    home.mkdir(mode=0o700, exist_ok=True)
    assert home.stat().st_uid == os.getuid(), f"{home} belongs to somebody else"
    with (home / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        if not (home / "complete").exists():
            _install(home / "environment")
            (home / "complete").touch()
    return home / "environment" / "bin"


def _install(environment: Path) -> None:
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(environment)], capture_output=True, text=True)
    assert made.returncode == 0, made.stdout + made.stderr
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    done = subprocess.run(
        [*pip, "--quiet", "--require-hashes", "--no-deps", "-r", str(LOCK)], capture_output=True, text=True, timeout=900
    )
    if done.returncode:
        pytest.fail(
            "dbt, the producer that this test drives, could not be installed: is the package index reachable?"
            f" pip says:\n{done.stderr[-2000:]}",
            pytrace=False,
        )


@pytest.fixture
def site(committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: None)
    with serving() as address:
        yield address


def run(folder: Path, program: Path, *words: str, **variables: str) -> str:
    """One call of dbt; what it said when it succeeds."""
    environment = {
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(folder),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        **variables,
    }
    command = [str(program), *words, "--profiles-dir", "."]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_dbt_reports_its_models_and_the_graph_shows_them(site: str, dbt: Path, tmp_path: Path, api_for: Any) -> None:
    shop = tmp_path / "shop"
    shutil.copytree(HERE / "shop", shop)
    run(shop, dbt / "dbt", "seed")
    variables = {
        "OPENLINEAGE_URL": site,
        "OPENLINEAGE_API_KEY": token_of(producer("dbt")),
        "OPENLINEAGE_NAMESPACE": "shop",
    }
    for _time in range(2):
        said = run(shop, dbt / "dbt-ol", "run", **variables)
        assert "Emitted 8 OpenLineage events" in said, said
    tasks.apply_openlineage()
    states = models.OpenLineageOutcome.objects.values_list("state", "problems")
    assert list(states) == [("applied", [])] * 16

    called = {each.name: f"dataset:{each.dataset_name}" for each in models.OpenLineageName.objects.all()}
    assert set(called) == {
        f"shop.main.{name}" for name in ("raw_orders", "raw_customers", "orders", "customers", "balances")
    }
    assert {each.namespace for each in models.OpenLineageName.objects.all()} == {"duckdb://shop.duckdb"}
    upstream = {each.source for each in edges_from(called["shop.main.balances"], "upstream")}
    assert {called[f"shop.main.{name}"] for name in ("raw_orders", "raw_customers", "orders", "customers")} <= upstream
    jobs = models.Run.objects.exclude(name__contains="dbt-run")
    assert jobs.count() == 6, "three models, built twice"
    assert set(models.Dataset.objects.values_list("classification", flat=True)) == {"unknown"}
    answer = api_for("noor").get("/api/v1/lineage", {"focus": called["shop.main.orders"], "depth": "2"}).json()
    assert called["shop.main.raw_orders"] in answer["nodes"]
    assert called["shop.main.customers"] in answer["nodes"]
