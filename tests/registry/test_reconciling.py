"""The reconciler against real endpoints on real sockets, and the record in PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit import queries as audit_queries
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown
from registry import deployments, environments, finding_wording, findings
from registry.models import (
    Endpoint,
    Finding,
    FindingSeen,
    MLflowDelivery,
    MLflowLook,
    ReconcilerRun,
)
from registry.reconciling import identity
from registry.reconciling.identity import Address
from registry.reconciling.run import reconcile
from registry.reconciling.snapshots import Outcome
from tests.conftest import free_port
from tests.registry.catalogue import BY, Catalogue
from tests.registry.tracking import Answer, standing_in

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
