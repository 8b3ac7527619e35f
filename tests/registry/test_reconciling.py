"""The reconciler against a real MLflow server, real endpoints on real sockets, and the record in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from audit import queries as audit_queries
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown
from registry import aliases, deployments, environments, finding_wording, findings, tasks, versions
from registry.models import (
    Alias,
    Endpoint,
    Environment,
    Finding,
    FindingSeen,
    MLflowDelivery,
    MLflowLook,
    Model,
    ModelVersion,
    ReconcilerRun,
)
from registry.reconciling import identity
from registry.reconciling.identity import Address
from registry.reconciling.run import reconcile
from registry.reconciling.snapshots import Outcome
from registry.sources import mlflow
from tests.conftest import CommittedDatabase, free_port
from tests.registry.catalogue import BY, Catalogue
from tests.registry.logging_to_mlflow import MODEL
from tests.registry.tracking import Answer, Tracking, running, standing_in

LAYLA = Actor("user:00000000-0000-7000-8000-000000000001", "Layla Haddad", frozenset({"ml_lead"}))
OMAR = Actor("user:00000000-0000-7000-8000-000000000002", "Omar Nasser", frozenset({"compliance_officer"}))


class Served:
    """A served model that says what a test lets it say."""

    def __init__(self) -> None:
        self.document: Any = {}
        self.status = 200
        self.headers: dict[str, str] = {}
        self.asked: list[str] = []

    def answer(self, path: str) -> Answer:
        self.asked.append(path)
        body = self.document if isinstance(self.document, bytes) else json.dumps(self.document).encode()
        return self.status, body, {"content-type": "application/json", **self.headers}


@pytest.fixture
def model() -> Served:
    """The served model behind ``endpoint``."""
    return Served()


@pytest.fixture
def endpoint(catalogue: Catalogue, model: Served) -> Iterator[Endpoint]:
    """An endpoint in ``prod-uae`` that was registered with the version that is on record there."""
    with standing_in(model.answer) as url:
        model.document = {"model": "credit-scoring", "version": "1", "digest": Catalogue.digest(1)}
        yield environments.register_endpoint(
            "credit-uae",
            environment=catalogue.uae,
            version=catalogue.first,
            url=f"{url}/invocations",
            identity=f"{url}/identity",
            output={"kind": "score"},
            by=BY,
        )


def look() -> ReconcilerRun:
    return reconcile(by=LAYLA)


def standing() -> list[tuple[str, str, str]]:
    return [(each.kind, each.concerns, each.state) for each in Finding.objects.standing().order_by("id")]


def events(finding: Finding) -> list[str]:
    return [row.event for row in audit_queries.history(finding.subject, limit=50)]


# ── endpoints ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_an_endpoint_that_tells_the_recorded_digest_agrees(endpoint: Endpoint, model: Served) -> None:
    run = look()
    assert (run.complete, run.differences, standing()) == (True, 0, [])
    assert [(place["endpoint"], place["state"]) for place in run.places] == [("credit-uae", "agrees")]
    assert model.asked == ["/identity"]
    assert finding_wording.conclusion(run, []) == "What runs agrees with the record."


@pytest.mark.django_db
def test_a_version_that_nobody_approved_is_found_once_and_resolved_when_it_is_gone(
    endpoint: Endpoint, model: Served
) -> None:
    model.document = {"name": "credit-scoring", "versions": ["2"], "platform": "sklearn"}  # Open Inference Protocol V2
    first = look()
    assert (first.opened, standing()) == (1, [("running_unapproved", "endpoint:credit-uae", "open")])
    finding = Finding.objects.get()
    assert (
        "says that it serves credit-scoring/2; on record in prod-uae is credit-scoring/1"
        in finding_wording.sentence(finding)
    )
    again = look()
    assert (again.opened, again.differences) == (0, 1)
    assert FindingSeen.objects.get().times == 2
    assert events(finding) == ["finding.opened"], "seeing it again is no entry"
    model.document = {"digest": Catalogue.digest(1)}
    assert look().gone == 1
    finding.refresh_from_db()
    assert (finding.state, finding.closed_by, finding.gone is not None) == ("closed", "system:reconciler", True)
    assert events(finding) == ["finding.resolved", "finding.opened"]
    model.document = {"digest": Catalogue.digest(2)}
    assert look().opened == 1, "the same difference again is another finding"
    newest = Finding.objects.first()
    assert newest is not None
    assert (newest.key, newest.pk == finding.pk) == (finding.key, False)
    opened = audit_queries.history(newest.subject, limit=1)[0]
    assert opened.facts["earlier"] == finding.subject


@pytest.mark.django_db
def test_what_a_person_closed_stays_closed_while_exactly_it_stands(endpoint: Endpoint, model: Served) -> None:
    model.document = {"digest": Catalogue.digest(2)}
    look()
    finding = Finding.objects.get()
    findings.take(finding.pk, by=LAYLA)
    with pytest.raises(Conflict, match="yours already"):
        findings.take(finding.pk, by=LAYLA)
    findings.take(finding.pk, by=OMAR)
    with pytest.raises(BadInput):
        findings.close(finding.pk, reason="  ", by=OMAR)
    findings.close(finding.pk, reason="A test of the new version, agreed in CR-7.", by=OMAR)
    with pytest.raises(Conflict):
        findings.close(finding.pk, reason="again", by=OMAR)
    run = look()
    assert (run.opened, run.gone) == (0, 0)
    sentence = finding_wording.conclusion(run, list(Finding.objects.standing()))
    assert sentence == "1 accepted difference still stands."
    model.document = {"digest": Catalogue.digest(9)}
    assert look().opened == 1, "another version is another difference"
    finding.refresh_from_db()
    assert finding.gone is not None
    assert finding.closed_by == OMAR.id, "who closed it stays who closed it"
    assert events(finding) == ["finding.resolved", "finding.closed", "finding.taken", "finding.taken", "finding.opened"]


@pytest.mark.django_db
def test_a_server_that_says_nothing_cannot_tell_and_is_never_fine(endpoint: Endpoint, model: Served) -> None:
    environments.change_endpoint(endpoint, identity="", by=BY)
    run = look()
    assert model.asked == ["/ping"], "MLflow's scoring server has nothing else to ask"
    assert (run.complete, standing()) == (False, [])
    assert finding_wording.conclusion(run, []) == "1 place does not say what it serves."


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "document", "headers", "why"),
    [
        (500, {}, {}, "status"),
        (404, {}, {}, "status"),
        (302, {}, {"location": "http://127.0.0.1:1/"}, "redirect"),
        (200, b"<html>", {}, "not_json"),
        (200, b"[" * 60_000, {}, "not_json"),
        (200, [], {}, "not_understood"),
        (200, {"digest": "sha256:abc"}, {}, "bad_digest"),
        (200, {"digest": 7}, {}, "bad_digest"),
        (200, {"model": {}, "version": "1"}, {}, "not_understood"),
        (200, {"versions": [True]}, {}, "not_understood"),
        (200, {"version": "1\n2"}, {}, "not_understood"),
        (200, {"version": "1" * 5000}, {}, "not_understood"),
        (200, b" " * 70_000, {}, "too_large"),
        (0, b"{", {}, "no_connection"),
    ],
)
def test_an_answer_that_cannot_be_understood_is_a_finding(
    endpoint: Endpoint, model: Served, status: int, document: Any, headers: dict[str, str], why: str
) -> None:
    model.status, model.document, model.headers = status, document, headers
    run = look()
    assert standing() == [("endpoint_unreachable", "endpoint:credit-uae", "open")]
    assert Finding.objects.get().observed["why"] == why
    assert not run.complete
    assert finding_wording.conclusion(run, list(Finding.objects.all())) == "1 endpoint could not be asked."
    assert finding_wording.sentence(Finding.objects.get()).startswith("“credit-uae” in prod-uae could not be asked")


@pytest.mark.django_db
def test_an_endpoint_that_is_down_hides_nothing_that_it_had_told(endpoint: Endpoint, model: Served) -> None:
    model.document = {"digest": Catalogue.digest(2)}
    look()
    environments.change_endpoint(endpoint, identity=f"http://127.0.0.1:{free_port()}/identity", by=BY)
    run = look()
    assert sorted(kind for kind, _subject, _state in standing()) == ["endpoint_unreachable", "running_unapproved"]
    assert run.gone == 0


@pytest.mark.parametrize(
    ("document", "name", "versions", "digest", "outcome"),
    [
        ({"model": "m", "version": 3}, "m", ("3",), "", Outcome.TOLD),
        ({"name": "m", "versions": ["3", "1"]}, "m", ("1", "3"), "", Outcome.TOLD),
        ({"name": "m", "versions": []}, "m", (), "", Outcome.SILENT),
        ({"name": "m", "versions": None}, "m", (), "", Outcome.SILENT),
        ({}, "", (), "", Outcome.SILENT),
        ({"digest": "sha256:" + "a" * 64}, "", (), "sha256:" + "a" * 64, Outcome.TOLD),
    ],
)
def test_what_a_served_model_may_say(
    document: Any, name: str, versions: tuple[str, ...], digest: str, outcome: Outcome
) -> None:
    answer = identity.read("e", json.dumps(document).encode())
    assert (answer.name, answer.versions, answer.digest, answer.outcome) == (name, versions, digest, outcome)


def test_a_host_that_is_not_allowed_is_not_asked(settings: Any) -> None:
    settings.ALLOWED_ENDPOINT_HOSTS = ["models.example"]
    served = Served()
    with standing_in(served.answer) as url:
        answer = identity.ask(Address("e", url, f"{url}/identity"))
    assert (answer.outcome, answer.why, served.asked) == (Outcome.UNREACHABLE, "not_allowed", [])


@pytest.mark.django_db
def test_an_identity_address_is_held_to_the_same_rule(endpoint: Endpoint) -> None:
    with pytest.raises(BadInput, match=r"ALLOWED_ENDPOINT_HOSTS") as refused:
        environments.change_endpoint(endpoint, identity="http://169.254.169.254/latest", by=BY)
    assert list(refused.value.fields) == ["identity"]


@pytest.mark.django_db
def test_a_deployment_that_is_recorded_during_a_look_is_no_difference(
    endpoint: Endpoint, model: Served, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The endpoint answers with the new version, and its deployment is recorded a moment later."""
    from registry.reconciling import run as running_look

    seen = running_look.observe

    def observing(addresses: Any) -> Any:
        model.document = {"digest": Catalogue.digest(2)}
        observed = seen(addresses)
        deployments.record_deploy(catalogue.uae, catalogue.second, by=BY)
        environments.change_endpoint(endpoint, version=catalogue.second, by=BY)
        return observed

    monkeypatch.setattr(running_look, "observe", observing)
    assert (look().opened, standing()) == (0, [])


@pytest.mark.django_db
def test_findings_need_their_entries_and_are_known_by_number(endpoint: Endpoint) -> None:
    with pytest.raises(NotKnown):
        findings.find(999)
    with pytest.raises(NotKnown):
        findings.close(999, reason="x", by=OMAR)


# ── webhooks ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.django_db
def test_a_change_that_no_delivery_announced_is_found_until_one_is(catalogue: Catalogue, settings: Any) -> None:
    settings.MLFLOW_WEBHOOK_SECRET = "secret"
    now = timezone.now()

    def imported(minutes_ago: int, found: int) -> None:
        look = MLflowLook.keep(now - timedelta(minutes=minutes_ago), found=found)
        MLflowLook.objects.filter(pk=look.pk).update(ended=now - timedelta(minutes=minutes_ago - 1))

    imported(90, 5)  # the first import: nobody could have told
    look()
    assert standing() == []
    imported(60, 2)
    imported(50, 0)
    look()
    assert standing() == [("missed_webhook", "source:mlflow", "open")]
    imported(30, 1)
    delivery = MLflowDelivery.objects.create(delivery_id="d-1")
    MLflowDelivery.objects.filter(pk=delivery.pk).update(received=now - timedelta(minutes=31))
    look()
    assert standing() == [], "the newest change was announced"
    assert MLflowLook.objects.count() == 1


# ── a real MLflow ────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A real server with two versions of a model; ``champion`` is the first."""
    with running(tmp_path_factory.mktemp("mlflow")) as server:
        server.log_models()
        yield server


@pytest.fixture
def imported(committed_db: CommittedDatabase, tracking: Tracking, settings: Any) -> Tracking:
    """Its models, imported here; the first serves in ``prod``."""
    settings.MLFLOW_TRACKING_URI = tracking.url
    tracking.point(MODEL, "champion", 1)
    mlflow.import_all(by=BY)
    prod = environments.register_environment(
        "prod",
        name="Production",
        tier="prod",
        regions_served=["azure:uaenorth"],
        perimeter="AE-federal",
        log_sinks=["azure:uaenorth"],
        by=BY,
    )
    deployments.record_deploy(prod, ModelVersion.objects.get(model__name=MODEL, number=1), by=BY)
    return tracking


def test_an_alias_moved_by_hand_stays_a_finding_after_the_import_has_followed(imported: Tracking) -> None:
    assert look().differences == 0
    imported.point(MODEL, "champion", 2)
    assert look().opened == 1, "seen before the import"
    assert standing() == [("alias_moved", f"alias:{MODEL}/champion", "open")]
    assert mlflow.import_all(by=BY).out_of_band == 1
    run = look()
    assert (run.opened, run.gone, run.differences) == (0, 0, 1), "the import followed it, the ledger did not"
    finding = Finding.objects.get()
    sentence = finding_wording.sentence(finding)
    assert f"the ledger has it at {MODEL}/1, MLflow at {MODEL}/2" in sentence
    imported.point(MODEL, "champion", 1)
    assert mlflow.import_all(by=BY).out_of_band == 1
    assert look().gone == 1, "back by hand is back"
    assert Alias.objects.get(name="champion").outside is False


def test_an_alias_that_the_import_saw_first_is_found_and_the_ledgers_own_move_ends_it(imported: Tracking) -> None:
    imported.point(MODEL, "champion", 2)
    mlflow.import_all(by=BY)
    assert look().opened == 1
    alias = Alias.objects.select_related("model").get(name="champion")
    assert (alias.outside, alias.ledger) == (True, f"version:{MODEL}/1")
    aliases.move(
        Model.objects.get(name=MODEL), "champion", ModelVersion.objects.get(model__name=MODEL, number=2), by=LAYLA
    )
    assert (look().gone, standing()) == (1, [])


def test_mlflow_that_is_away_is_a_finding_and_hides_nothing(imported: Tracking, settings: Any) -> None:
    imported.point(MODEL, "champion", 2)
    look()
    settings.MLFLOW_TRACKING_URI = f"http://127.0.0.1:{free_port()}"
    run = look()
    assert [kind for kind, _subject, _state in standing()] == ["alias_moved", "source_unreadable"]
    assert (run.complete, run.gone) == (False, 0)
    conclusion = finding_wording.conclusion(run, list(Finding.objects.standing()))
    assert conclusion.startswith("Production differs from the record in 1 place.")
    assert "MLflow could not be read." in conclusion
    settings.MLFLOW_TRACKING_URI = imported.url
    assert look().gone == 1


def test_a_version_that_is_deleted_or_remade_there_is_found(imported: Tracking, settings: Any) -> None:
    imported.call("POST", "registered-models/create", name="short-lived")
    sources = {each.number: each.source_uri for each in ModelVersion.objects.filter(model__name=MODEL)}
    made = {
        number: {"name": "short-lived", "source": source, "model_id": source.removeprefix("models:/")}
        for number, source in sources.items()
    }
    imported.call("POST", "model-versions/create", **made[1])
    model = versions.register_model(
        "short-lived", title="x", owner="x", purpose="x", risk="high", risk_reason="x", by=BY
    )
    versions.register_version(
        model,
        digest=Catalogue.digest(77),
        trained_by=["yusuf"],
        tracking_server=imported.url,
        source_uri=sources[1],
        by=BY,
    )
    assert look().differences == 0
    imported.call("DELETE", "registered-models/delete", name="short-lived")
    look()
    assert standing() == [("deleted_there", "model:short-lived", "open")]
    imported.call("POST", "registered-models/create", name="short-lived")
    look()
    assert standing() == [("deleted_there", "version:short-lived/1", "open")]
    imported.call("POST", "model-versions/create", **made[2])
    look()
    assert standing() == [("source_changed", "version:short-lived/1", "open")]
    imported.call("DELETE", "registered-models/delete", name="short-lived")


def test_the_clock_and_the_command_look_too(imported: Tracking, capsys: pytest.CaptureFixture[str]) -> None:
    tasks.look_for_differences()
    assert ReconcilerRun.objects.get().asked_by == "system:reconciler"
    with pytest.raises(SystemExit) as incomplete:
        call_command("reconcile")
    assert incomplete.value.code == 2, "prod has no endpoint to ask"
    assert capsys.readouterr().out.startswith("1 place does not say what it serves.")
    imported.point(MODEL, "champion", 2)
    with pytest.raises(SystemExit) as different:
        call_command("reconcile")
    assert different.value.code == 1
    assert "Production differs from the record in 1 place." in capsys.readouterr().out
    assert Environment.objects.get().slug == "prod"
