"""The unmodified client of OpenLineage posts to us over HTTP; the lineage shows what it said, and goes out again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import attr
import httpx
import pytest
from django.test import Client
from kombu.exceptions import OperationalError
from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import (
    Dataset,
    DatasetEvent,
    InputDataset,
    Job,
    JobEvent,
    OutputDataset,
    Run,
    RunEvent,
    RunState,
    StaticDataset,
)
from openlineage.client.facet_v2 import (
    column_lineage_dataset,
    dataset_version_dataset,
    ownership_job,
    symlinks_dataset,
    tags_dataset,
)
from openlineage.client.serde import Serde
from openlineage.client.transport.http import HttpConfig, HttpTransport

from registry import models, tasks
from registry.sources import openlineage_intake
from registry.sources.openlineage_events import Identity
from registry.sources.openlineage_names import name_of
from tests.conftest import CommittedDatabase
from tests.registry.site import producer, serving, token_of

WAREHOUSE = "postgres://db.example:5432"
TIME = "2026-11-20T09:00:00.000000Z"


@pytest.fixture
def site(committed_db: CommittedDatabase) -> Iterator[str]:
    """Our server with real commits, so that an entry that is missing would be refused."""
    with serving() as address:
        yield address


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that the broker was given: a double, since what counts here is that there was one."""
    names: list[str] = []
    broker_takes(monkeypatch, lambda name, **_: names.append(name))
    return names


def broker_takes(monkeypatch: pytest.MonkeyPatch, send_task: Any) -> None:
    """Celery's app is another in each thread, so the intake's name is set; a broker that was away is forgotten."""
    monkeypatch.setattr(openlineage_intake, "current_app", SimpleNamespace(send_task=send_task))
    monkeypatch.setattr(openlineage_intake, "_broker", openlineage_intake._Broker())


def client(address: str, token: str, **more: Any) -> OpenLineageClient:
    """The client as its users configure it."""
    auth = {"type": "api_key", "apiKey": token}
    return OpenLineageClient(
        transport=HttpTransport(HttpConfig.from_dict({"type": "http", "url": address, "auth": auth, **more}))
    )


def subject(name: str, namespace: str = WAREHOUSE, version: str = "") -> str:
    return f"dataset:{name_of(Identity(namespace, name, version))}"


def edges(reader: Client, focus: str) -> set[tuple[str, str, str]]:
    answer = reader.get("/api/v1/lineage", {"focus": focus})
    assert answer.status_code == 200, answer.content
    return {(each["source"], each["target"], each["kind"]) for each in answer.json()["edges"]}


@pytest.mark.parametrize("compression", [None, "gzip"])
def test_runs_jobs_and_data_sets_of_the_real_client_are_in_the_graph(
    site: str, sent: list[str], api_for: Any, client_for: Any, compression: str | None
) -> None:
    account = producer()
    sender = client(site, token_of(account), **({"compression": compression} if compression else {}))
    number, owner = str(uuid4()), ownership_job.OwnershipJobFacet(owners=[ownership_job.Owner(name="team:data")])
    run, job = Run(runId=number), Job(namespace="nightly", name="build.marts", facets={"ownership": owner})
    tags = [tags_dataset.TagsDatasetFacetFields(key="classification", value="personal", source="USER")]
    tags += [tags_dataset.TagsDatasetFacetFields(key="region", value="azure:uaenorth", source="USER")]
    raw = InputDataset(
        namespace=WAREHOUSE,
        name="raw.people",
        facets={
            "tags": tags_dataset.TagsDatasetFacet(tags=tags),
            "version": dataset_version_dataset.DatasetVersionDatasetFacet(datasetVersion="41"),
        },
    )
    column = column_lineage_dataset.InputField(namespace=WAREHOUSE, name="raw.rates", field="rate")
    other = symlinks_dataset.Identifier(namespace="hive://meta", name="marts.people", type="TABLE")
    mart = OutputDataset(
        namespace=WAREHOUSE,
        name="marts.people",
        facets={
            "columnLineage": column_lineage_dataset.ColumnLineageDatasetFacet(
                fields={"amount": column_lineage_dataset.Fields(inputFields=[column])}
            ),
            "symlinks": symlinks_dataset.SymlinksDatasetFacet(identifiers=[other]),
        },
    )
    sender.emit(RunEvent(eventTime=TIME, eventType=RunState.START, run=run, job=job, inputs=[raw]))
    sender.emit(RunEvent(eventTime=TIME, eventType=RunState.COMPLETE, run=run, job=job, outputs=[mart]))
    planned = JobEvent(
        eventTime=TIME, job=Job(namespace="nightly", name="later"), inputs=[InputDataset("x", "planned")]
    )
    sender.emit(planned)
    sender.emit(DatasetEvent(eventTime=TIME, dataset=StaticDataset(namespace=WAREHOUSE, name="static")))
    assert sent == [openlineage_intake.APPLY], "one task for all, while the first event waits"
    assert models.Run.objects.count() == 0
    tasks.apply_openlineage()

    reader, node = api_for("noor"), f"run:{number}"
    assert edges(reader, node) >= {
        (subject("raw.people", version="41"), node, "input"),
        (subject("raw.people"), subject("raw.people", version="41"), "derived"),
        (subject("raw.rates"), node, "input"),
        (node, subject("marts.people"), "wrote"),
        (subject("marts.people"), subject("marts.people", "hive://meta"), "same"),
    }
    for known in (subject("planned", "x"), subject("static")):
        assert edges(reader, known) == set()
    stored = models.Run.objects.get()
    assert set(stored.contributors) == {"team:data", "airflow"}
    people = models.Dataset.objects.get(name=subject("raw.people")[8:])
    assert (people.classification, people.regions, people.confirmed) == ("personal", ["azure:uaenorth"], False)
    page = client_for("noor").get("/lineage", {"focus": node, "depth": "3"}).content.decode()
    assert "build.marts" in page
    assert subject("marts.people", "hive://meta") in page


def test_the_batch_says_what_became_of_each_event(site: str, sent: list[str], api_for: Any) -> None:
    token = token_of(producer())
    good = [
        json.loads(
            Serde.to_json(
                RunEvent(
                    eventTime=TIME,
                    eventType=RunState.COMPLETE,
                    run=Run(runId=str(uuid4())),
                    job=Job(namespace="n", name="j"),
                    inputs=[InputDataset(namespace=WAREHOUSE, name=f"t{number}")],
                )
            )
        )
        for number in range(3)
    ]
    bad = {**good[0], "run": {"runId": "seven"}}
    answer = httpx.post(
        f"{site}/api/v1/lineage/batch",
        json=[good[0], bad, good[1], 7, good[2]],
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer.status_code == 200
    told = answer.json()
    assert told["status"] == "partial_success"
    assert told["summary"] == {"received": 5, "successful": 3, "failed": 2, "retriable": 0, "non_retriable": 2}
    assert [(each["index"], each["code"]) for each in told["failed_events"]] == [
        (1, "openlineage.run_id"),
        (3, "openlineage.not_an_object"),
    ]
    tasks.apply_openlineage()
    assert models.Run.objects.count() == 3
    kept = api_for("noor").get("/api/v1/lineage/events").json()["results"]
    assert [each["state"] for each in kept] == ["applied"] * 3
    body = api_for("noor").get(f"/api/v1/lineage/events/{kept[0]['digest']}")
    assert json.loads(body.content) == good[2]


def test_the_lineage_goes_out_as_events_that_make_the_same_lineage_elsewhere(
    site: str, sent: list[str], api_for: Any
) -> None:
    sender = client(site, token_of(producer()))
    for number, (reads, writes) in enumerate([(("a", "b"), ("b",)), (("b",), ("c", "d"))]):
        sender.emit(
            RunEvent(
                eventTime=TIME,
                eventType=RunState.COMPLETE,
                run=Run(runId=str(uuid4())),
                job=Job(namespace="n", name=f"j{number}"),
                inputs=[InputDataset(namespace=WAREHOUSE, name=each) for each in reads],
                outputs=[OutputDataset(namespace=WAREHOUSE, name=each) for each in writes],
            )
        )
    tasks.apply_openlineage()
    reader = api_for("noor")
    before = edges(reader, subject("d"))
    out = reader.get("/api/v1/lineage/openlineage", {"focus": subject("d")}).json()
    assert {each["schemaURL"].rpartition("/")[2] for each in out} == {"RunEvent", "DatasetEvent"}
    for each in out:
        _as_the_client_reads(each)
    count, known = models.LineageEdge.objects.count(), models.Dataset.objects.count()
    answer = httpx.post(
        f"{site}/api/v1/lineage/batch", json=out, headers={"Authorization": f"Bearer {token_of(producer('dagster'))}"}
    )
    assert answer.json()["status"] == "success", answer.text
    tasks.apply_openlineage()
    assert set(models.OpenLineageOutcome.objects.values_list("state", flat=True)) == {"applied"}
    assert (models.LineageEdge.objects.count(), models.Dataset.objects.count()) == (count, known)
    assert edges(reader, subject("d")) == before
    told = {each["job"]["name"]: each for each in out if "run" in each}
    assert [each["name"] for each in told["j1"]["outputs"]] == ["c", "d"]
    assert {each["namespace"] for run in told.values() for each in run["inputs"]} == {WAREHOUSE}


def _as_the_client_reads(event: dict[str, Any]) -> None:
    """Build the client's own classes from it: they check ids, times and what must be there."""
    if "run" in event:
        datasets = [Dataset(namespace=each["namespace"], name=each["name"]) for each in event["inputs"]]
        assert all(attr.asdict(each)["name"] for each in datasets)
        RunEvent(
            eventTime=event["eventTime"],
            eventType=RunState[event["eventType"]],
            run=Run(runId=event["run"]["runId"]),
            job=Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
            producer=event["producer"],
        )
    else:
        DatasetEvent(
            eventTime=event["eventTime"],
            dataset=StaticDataset(namespace=event["dataset"]["namespace"], name=event["dataset"]["name"]),
            producer=event["producer"],
        )


def test_without_the_right_nothing_is_taken_in(site: str, sent: list[str], api_for: Any) -> None:
    event = {"eventTime": TIME, "producer": "p", "dataset": {"namespace": "n", "name": "d"}}
    assert httpx.post(f"{site}/api/v1/lineage", json=event).status_code == 401
    for path in ("/api/v1/lineage", "/api/v1/lineage/batch"):
        answer = api_for("noor").post(path, event, content_type="application/json")
        assert answer.status_code == 403
        assert "lineage.report" in answer.json()["detail"]
    narrow = {"Authorization": f"Bearer {token_of(producer())}"}
    assert httpx.get(f"{site}/api/v1/lineage?focus=dataset:d", headers=narrow).status_code == 403
    assert not models.OpenLineageEvent.objects.exists()


def test_a_broker_that_is_down_loses_nothing_and_is_not_asked_for_every_event(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def away(name: str, **_: Any) -> None:
        asked.append(name)
        raise OperationalError("no broker")

    broker_takes(monkeypatch, away)
    sender = client(site, token_of(producer()))
    for name in ("one", "two"):
        sender.emit(DatasetEvent(eventTime=TIME, dataset=StaticDataset(namespace=WAREHOUSE, name=name)))
        assert models.OpenLineageOutcome.objects.filter(state="waiting").count() == 1
        tasks.apply_openlineage()
        assert models.Dataset.objects.filter(name=subject(name)[8:]).exists()
    assert asked == [openlineage_intake.APPLY]


def test_the_page_of_a_data_set_says_who_claimed_it(site: str, sent: list[str], client_for: Any) -> None:
    sender = client(site, token_of(producer()))
    sender.emit(
        DatasetEvent(eventTime=TIME, producer="https://dbt.example", dataset=StaticDataset(WAREHOUSE, "marts.<b>"))
    )
    tasks.apply_openlineage()
    called = models.OpenLineageName.objects.get()
    page = client_for("noor").get(f"/datasets/{called.dataset_name}").content.decode()
    for said in ("https://dbt.example", "marts.&lt;b&gt;", WAREHOUSE, called.digest):
        assert said in page
    assert "marts.<b>" not in page
