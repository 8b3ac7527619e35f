"""Findings as people and programs meet them: who may read, take and close, and what the page concludes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import queries as audit_queries
from audit.actors import Actor
from registry import environments, erasure, finding_wording, findings
from registry.models import Finding, FindingKind, ReconcilerRun
from registry.reconciling.comparison import Comparison, Difference, Kind
from registry.reconciling.run import reconcile
from tests import personas
from tests.registry.catalogue import BY, Catalogue
from tests.registry.tracking import standing_in

pytestmark = pytest.mark.django_db
Browser = Callable[[str], Client]
BY_HAND = Actor.system("tests")


@pytest.fixture
def finding(catalogue: Catalogue) -> Finding:
    """``credit-uae`` says that it serves version 2, and 1 is on record."""
    body = b'{"model": "credit-scoring", "version": "2"}'
    with standing_in(lambda _path: (200, body, {})) as url:
        environments.register_endpoint(
            "credit-uae",
            environment=catalogue.uae,
            version=catalogue.first,
            url=url,
            identity=f"{url}/identity",
            output={"kind": "score"},
            by=BY,
        )
        reconcile(by=BY)
    return Finding.objects.get()


def page(client: Client, path: str, status: int = 200) -> str:
    answer = client.get(path)
    assert answer.status_code == status, answer.content[:1000]
    return answer.content.decode()


def test_before_the_first_look_the_page_says_that_nobody_looked(client_for: Browser) -> None:
    assert "Nobody has compared production with the record yet." in page(client_for("noor"), "/reconciler")


def test_the_page_begins_with_what_differs_and_names_the_finding(finding: Finding, client_for: Browser) -> None:
    told = page(client_for("noor"), "/reconciler")
    assert "Production differs from the record in 1 place." in told
    assert "says that it serves credit-scoring/2; on record in prod-uae is credit-scoring/1" in told
    assert "Looking for findings needs the role" in told, "an auditor sees the button and why it is not theirs"
    assert "Nothing is gone yet" in page(client_for("noor"), "/reconciler?show=gone")
    page(client_for("noor"), "/reconciler?show=everything", 400)


def test_what_is_on_record_and_seen_is_said_in_words(finding: Finding, client_for: Browser) -> None:
    told = page(client_for("noor"), f"/reconciler/findings/{finding.pk}")
    assert "<bdi>the endpoint says so</bdi>" in told
    assert "<bdi>credit-scoring/2</bdi>" in told
    assert ">reported<" not in told
    for name, word in (("what", "permit"), ("why", "no_connection"), ("basis", "registered")):
        assert finding_wording.value(name, word) != word
    assert finding_wording.value("digest", "sha256:00") == "sha256:00"
    assert finding_wording.value("why", None) == ""


def test_an_old_look_says_that_nothing_is_known_since(finding: Finding, client_for: Browser) -> None:
    ReconcilerRun.objects.update(began=timezone.now() - timedelta(hours=1))
    assert "nothing is known since" in page(client_for("noor"), "/reconciler")


def test_a_finding_is_taken_and_closed_with_a_reason_on_its_page(finding: Finding, client_for: Browser) -> None:
    at = f"/reconciler/findings/{finding.pk}"
    sami, omar = client_for("sami"), client_for("omar")
    assert "credit-scoring/2" in page(sami, at)
    assert sami.post(f"{at}/take").status_code == 302
    finding.refresh_from_db()
    assert (finding.state, finding.owner) == ("taken", personas.get("sami").actor.id)
    assert "Sami Aziz" in page(omar, at)
    assert sami.post(f"{at}/close", {"reason": "Fine."}).status_code == 403, "an operator may not accept it"
    refused = omar.post(f"{at}/close", {"reason": " "})
    assert (refused.status_code, "Say something here" in refused.content.decode()) == (400, True)
    assert omar.post(f"{at}/close", {"reason": "Approved as CR-7, recorded late."}).status_code == 302
    told = page(omar, at)
    assert "It was accepted and still stands." in told
    assert "Approved as CR-7, recorded late." in told
    entries = audit_queries.history(finding.subject)
    assert [row.event for row in entries] == ["finding.closed", "finding.taken", "finding.opened"]
    assert entries[0].reason == "Approved as CR-7, recorded late."


@pytest.mark.parametrize(("username", "action"), [("noor", "take"), ("yusuf", "take"), ("amir", "close")])
def test_who_has_no_right_changes_nothing(finding: Finding, client_for: Browser, username: str, action: str) -> None:
    answer = client_for(username).post(f"/reconciler/findings/{finding.pk}/{action}", {"reason": "x"})
    assert answer.status_code == 403
    finding.refresh_from_db()
    assert finding.state == "open"


def test_the_button_looks_now(finding: Finding, client_for: Browser) -> None:
    answer = client_for("sami").post("/reconciler/run", follow=True)
    assert "Looked: 1 new finding." in answer.content.decode(), "the endpoint is away by now"
    assert client_for("noor").post("/reconciler/run").status_code == 403
    newest = ReconcilerRun.objects.first()
    assert newest is not None
    assert newest.asked_by == personas.get("sami").actor.id


def test_programs_read_take_close_and_look(finding: Finding) -> None:
    secret = personas.token_of("omar", scopes=("registry.read", "finding.take", "finding.close"))
    api = Client(headers={"Authorization": f"Bearer {secret}"})
    (listed,) = api.get("/api/v1/findings", {"state": "open"}).json()["results"]
    assert (listed["id"], listed["kind"], listed["times_seen"]) == (finding.pk, "running_unapproved", 1)
    assert listed["observed"] == {"version": "version:credit-scoring/2", "digest": "", "basis": "reported"}
    at = f"/api/v1/findings/{finding.pk}"
    assert api.get(at).json()["recorded"] == {"serving": "version:credit-scoring/1"}
    assert api.post(f"{at}/take", content_type="application/json").json()["state"] == "taken"
    again = api.post(f"{at}/take", content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "finding.taken")
    missing = api.post(f"{at}/close", {}, content_type="application/json")
    assert missing.status_code == 400
    unknown = api.post(f"{at}/close", {"reason": "x", "force": True}, content_type="application/json")
    assert unknown.status_code == 400
    closed = api.post(f"{at}/close", {"reason": "Recorded late."}, content_type="application/json").json()
    assert (closed["state"], closed["accepted"], closed["gone"]) == ("closed", True, None)
    run = api.post("/api/v1/reconciler/runs", content_type="application/json")
    assert (run.status_code, run.json()["complete"]) == (201, False)
    assert run.json()["places"][0]["state"] == "unreachable"
    assert len(api.get("/api/v1/reconciler/runs").json()["results"]) == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("findings/999", 404),
        ("findings?state=lost", 400),
        ("findings?kind=other", 400),
        ("findings/99999999999999999999", 404),
        ("findings?cursor=x", 404),
    ],
)
def test_a_question_without_an_answer_is_a_problem(
    path: str, status: int, catalogue: Catalogue, api_for: Browser
) -> None:
    answer = api_for("ci").get(f"/api/v1/{path}")
    assert answer.status_code == status, answer.content
    assert answer.json()["detail"]


def test_the_lists_take_as_many_queries_for_many_findings_as_for_one(finding: Finding, client_for: Browser) -> None:
    def queries(path: str) -> int:
        client = client_for("omar")
        client.get(path)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            assert client.get(path).status_code == 200
        return len(captured)

    paths = ("/reconciler", "/api/v1/findings", "/")
    before = [queries(path) for path in paths]
    many = tuple(Difference(Kind.DELETED_THERE, f"model:m{number}", "source:mlflow") for number in range(60))
    comparison = Comparison(many, (), False, (), frozenset(), frozenset({"credit-uae"}))
    findings.settle(comparison, set(), at=timezone.now(), by=BY_HAND)
    assert Finding.objects.standing().count() == 61
    assert [queries(path) for path in paths] == before


def test_a_person_who_is_erased_takes_their_words_along(finding: Finding) -> None:
    omar = personas.get("omar").actor
    findings.close(finding.pk, reason="Agreed with Huda on the phone.", by=omar)
    changed = erasure.forget_person(["omar"], pseudonym=omar.id, by=BY)
    finding.refresh_from_db()
    assert (changed["findings"], finding.reason) == (1, erasure.ERASED)


def test_every_kind_has_a_sentence(finding: Finding, client_for: Browser) -> None:
    assert set(FindingKind.values) == {kind.value for kind in Kind}
    told: dict[str, Any] = {}
    for kind in Kind:
        comparison_of_one(kind)
    for row in Finding.objects.all():
        told[row.kind] = page(client_for("noor"), f"/reconciler/findings/{row.pk}")
    assert set(told) == set(FindingKind.values)
    assert not [kind for kind, text in told.items() if "%(" in text]


def comparison_of_one(kind: Kind) -> None:
    """A finding of this kind."""
    difference = Difference(kind, f"endpoint:{kind.value}", "approvals")
    findings.settle(
        Comparison((difference,), (), False, (), frozenset(), frozenset({"credit-uae"})),
        {row.key for row in Finding.objects.all()},
        at=timezone.now(),
        by=BY_HAND,
    )
