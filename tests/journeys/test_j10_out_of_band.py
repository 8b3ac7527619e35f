"""J10: somebody moves an alias in MLflow by hand; the reconciler shows that production differs from the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.stack import RunningStack, eventually, token_in

MODEL = "credit-scoring"
ALIAS = "by-hand-in-j10"


@pytest.fixture
def mlflow(stack: RunningStack) -> Iterator[httpx.Client]:
    """MLflow's own REST API, as anybody who reaches it uses it. The alias of this journey is removed afterwards."""
    port = json.loads((stack.state / "ports.json").read_text())["mlflow"]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/api/2.0/mlflow/", timeout=30) as client:
        # the stack answers before MLflow does
        eventually(lambda: client.get(f"http://127.0.0.1:{port}/health").status_code == 200, seconds=120)
        yield client
        client.request("DELETE", "registered-models/alias", json={"name": MODEL, "alias": ALIAS})


def point(mlflow: httpx.Client, version: str) -> None:
    body = {"name": MODEL, "alias": ALIAS, "version": version}
    mlflow.post("registered-models/alias", json=body).raise_for_status()


def findings(stack: RunningStack, **filters: str) -> list[dict[str, Any]]:
    with stack.api() as api:
        answer = api.get("findings", params={"kind": "alias_moved", **filters})
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["results"]
    return [row for row in rows if row["concerns"] == f"alias:{MODEL}/{ALIAS}"]


def look(stack: RunningStack) -> None:
    """Press the button; a look of the clock may be going on."""
    browser = stack.browser("sami")
    page = browser.get("/reconciler")

    def pressed() -> bool:
        form = {"csrfmiddlewaretoken": token_in(page.text)}
        return browser.post("/reconciler/run", data=form).status_code == 200

    eventually(pressed, seconds=60)


def import_once(stack: RunningStack) -> None:
    """The poll, now; an import of the clock may be going on."""
    eventually(lambda: stack.manage("registry_import").returncode == 0, seconds=90, every=2)


def test_the_storys_alias_that_was_moved_by_hand_is_a_finding(stack: RunningStack, mlflow: httpx.Client) -> None:
    look(stack)
    with stack.api() as api:
        rows = api.get("findings", params={"kind": "alias_moved"}).json()["results"]
    (moved,) = [row for row in rows if row["concerns"] == f"alias:{MODEL}/champion" and row["gone"] is None]
    assert moved["recorded"]["version"] == f"version:{MODEL}/2"
    assert moved["observed"]["version"] == f"version:{MODEL}/3"


def test_an_alias_moved_by_hand_is_found_taken_closed_and_gone_when_it_is_put_back(
    stack: RunningStack, mlflow: httpx.Client
) -> None:
    point(mlflow, "1")
    import_once(stack)
    look(stack)
    for finding in findings(stack):
        assert finding["gone"] or finding["observed"]["version"] == f"version:{MODEL}/1"
    settled = {row["id"] for row in findings(stack)}

    point(mlflow, "2")
    look(stack)
    (found,) = [row for row in findings(stack, state="open") if row["id"] not in settled]
    assert found["observed"]["version"] == f"version:{MODEL}/2"
    layla = stack.browser("layla")
    page = layla.get("/reconciler").text
    assert "Production differs from the record in" in page
    assert f"{MODEL}/{ALIAS}" in page
    assert "What is not lawful or differs from the record" in layla.get("/").text

    at = f"/reconciler/findings/{found['id']}"
    token = token_in(layla.get(at).text)
    assert layla.post(f"{at}/take", data={"csrfmiddlewaretoken": token}).status_code == 200
    refused = layla.post(f"{at}/close", data={"csrfmiddlewaretoken": token, "reason": ""})
    assert refused.status_code == 400
    done = layla.post(f"{at}/close", data={"csrfmiddlewaretoken": token, "reason": "Tried by the data team; harmless."})
    assert "Tried by the data team; harmless." in done.text
    assert "It was accepted and still stands." in done.text

    import_once(stack)
    look(stack)
    (same,) = [row for row in findings(stack) if row["id"] == found["id"]]
    assert (same["state"], same["accepted"]) == ("closed", True), "closed stays closed while exactly it stands"

    point(mlflow, "1")
    import_once(stack)
    look(stack)
    (back,) = [row for row in findings(stack) if row["id"] == found["id"]]
    assert back["gone"] is not None, "put back: the difference is gone, and the log says when"
    with stack.api() as api:
        told = lambda: api.get("log/entries", params={"subject": f"finding:{found['id']}"}).text  # noqa: E731
        eventually(lambda: "finding.resolved" in told())


def test_an_auditor_reads_findings_and_changes_none(stack: RunningStack) -> None:
    look(stack)
    noor = stack.browser("noor")
    page = noor.get("/reconciler")
    assert page.status_code == 200
    answer = noor.post("/reconciler/run", data={"csrfmiddlewaretoken": token_in(page.text)})
    assert answer.status_code == 403


def test_a_look_that_cannot_see_everything_says_so(stack: RunningStack) -> None:
    look(stack)
    with stack.api() as api:
        newest = api.get("reconciler/runs").json()["results"][0]
    assert newest["complete"] is False, "MLflow's scoring servers do not say which model they hold"
    assert "agrees with the record" not in stack.browser("noor").get("/reconciler").text
