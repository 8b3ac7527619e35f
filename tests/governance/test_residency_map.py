"""The residency map: every flow of what serves by country and law, worst first, as page, API and table."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from audit import log
from audit.models.events import Event
from governance import rechecks, residency, residency_table
from governance.residency import COVERED, FREE, INSIDE, UNCOVERED, WARNED, Residency, state_of
from registry import datasets, environments
from registry.models import Deployment
from tests.governance import scene
from tests.governance.scene import Bank

Browser = Callable[[str], Client]
FRANKFURT = "azure:germanywestcentral"


def by_key(found: Residency) -> dict[tuple[str, str, str], str]:
    return {(flow.kind, flow.subject, flow.region): flow.state for flow in found.flows}


def say(bank: Bank, **places: Any) -> None:
    environments.change_environment(bank.uae, **places, by=scene.SET_UP)
    bank.uae.refresh_from_db()


def test_nothing_serves_and_the_page_says_so(bank: Bank, client_for: Browser) -> None:
    assert residency.residency() == Residency((), (), 0, 0)
    page = client_for("noor").get(reverse("governance:residency")).content.decode()
    assert "Nothing serves now, so no data lie anywhere because of it." in page


def test_every_kind_of_flow_stands_where_it_is_with_what_the_engine_says(bank: Bank) -> None:
    say(bank, backups=[FRANKFURT], support_access=["AE", "IN"], explanation_workers=[])
    row = scene.serve(bank, bank.new, bank.uae)
    found = residency.residency()
    assert by_key(found) == {
        ("dataset", "dataset:loans-2026q3", "azure:uaenorth"): INSIDE,
        ("serving", "environment:prod-uae", "azure:uaenorth"): INSIDE,
        ("inference_log", "environment:prod-uae", "azure:uaenorth"): INSIDE,
        ("backup", "environment:prod-uae", FRANKFURT): UNCOVERED,
        ("support_access", "environment:prod-uae", "country:AE"): INSIDE,
        ("support_access", "environment:prod-uae", "country:IN"): UNCOVERED,
    }
    [judged] = rechecks.judge([row], rechecks.read([row]))
    blocked = {(each["facts"]["kind"], each["facts"]["region"]) for each in judged.blocking}
    assert blocked == {(flow.kind, flow.region) for flow in found.of(UNCOVERED)}, "the same engine said both"
    assert [flow.country for flow in found.of(UNCOVERED)] == ["DE", "IN"]
    backup = found.of(UNCOVERED)[0]
    assert (backup.against, list(backup.findings)) == ([row], [("uae-pdpl", "AE-RES-001")])


def test_a_safeguard_covers_with_its_reference_and_its_end(bank: Bank) -> None:
    say(bank, backups=[FRANKFURT])
    scene.cover("TS-9", subjects=("environment:prod-uae",))
    scene.serve(bank, bank.new, bank.uae)
    [backup] = residency.residency().of(COVERED)
    assert (backup.kind, list(backup.covers)) == ("backup", ["TS-9"])
    assert backup.covers["TS-9"].until is not None
    assert not backup.findings


@pytest.mark.parametrize("kind", ["backups", "support_access", "explanation_workers"])
def test_what_nobody_said_is_an_unknown_place_and_denied(bank: Bank, kind: str) -> None:
    type(bank.uae).objects.filter(pk=bank.uae.pk).update(**{kind: None})
    scene.serve(bank, bank.new, type(bank.uae).objects.get(pk=bank.uae.pk))
    [unknown] = [flow for flow in residency.residency().flows if not flow.placed]
    assert (unknown.state, unknown.country, unknown.region) == (UNCOVERED, "", "")
    say(bank, **{kind: []})
    assert all(flow.placed for flow in residency.residency().flows), "an empty list says that there is none"


def test_one_flow_of_many_deployments_keeps_the_worst_that_was_said(bank: Bank) -> None:
    scene.serve(bank, bank.new, bank.uae)
    scene.serve(bank, bank.old, bank.staging)
    found = residency.residency()
    [loans] = [flow for flow in found.flows if flow.kind == "dataset"]
    assert loans.environments == ["prod-uae", "staging"]
    datasets.state_dataset(
        bank.loans,
        {"regions": [FRANKFURT]},
        confirmed_facts=None,
        may_confirm=lambda: None,
        reason="Moved.",
        by=scene.SET_UP,
    )
    [loans] = [flow for flow in residency.residency().flows if flow.kind == "dataset"]
    assert (loans.state, len(loans.against)) == (UNCOVERED, 2)


def test_what_cannot_be_decided_is_never_covered(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    row = scene.serve(bank, bank.new, bank.uae)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("no engine")

    monkeypatch.setattr("governance.decisions.collecting.collect", broken)
    found = residency.residency()
    assert found.flows == ()
    assert found.undecided == ((row, "RuntimeError: no engine"),)
    assert [cells[0] for cells in residency_table.rows(found)] == ["undecided"]


@pytest.mark.parametrize(
    ("personal", "findings", "state"),
    [
        (True, [], UNCOVERED),
        (False, [], FREE),
        (True, [("pass", "block", "")], INSIDE),
        (True, [("pass", "block", ""), ("pass", "block", "TS-1")], COVERED),
        (True, [("pass", "block", "TS-1"), ("fail", "warn", "")], WARNED),
        (True, [("pass", "block", "TS-1"), ("error", "block", "")], UNCOVERED),
        (True, [("not_applicable", "block", "")], UNCOVERED),
    ],
)
def test_what_rules_say_of_a_flow_together(personal: bool, findings: list[tuple[str, str, str]], state: str) -> None:
    said = [{"outcome": outcome, "severity": severity, "waived_by": by} for outcome, severity, by in findings]
    assert state_of(personal, said) == state


def test_the_page_concludes_and_shows_unknown_places_first_in_a_fixed_number_of_queries(
    bank: Bank, client_for: Browser
) -> None:
    address = reverse("governance:residency")
    noor = client_for("noor")
    say(bank, backups=[FRANKFURT])
    scene.serve(bank, bank.new, bank.uae)
    log.append(Event.ENVIRONMENT_CHANGED, bank.staging, by=scene.SET_UP)  # as it was before backups were asked for
    type(bank.staging).objects.filter(pk=bank.staging.pk).update(backups=None)
    scene.serve(bank, bank.new, type(bank.staging).objects.get(pk=bank.staging.pk))
    page = noor.get(address).content.decode()
    assert "2 flows are not covered: environment:staging (backup) in an unknown place" in page
    assert page.index("Nobody knows where") < page.index("United Arab Emirates") < page.index("Germany")
    assert "AE-RES-001" in page
    assert "Federal Decree-Law 45/2021 Art. 22" in page
    assert 'href="/policies/uae-pdpl"' in page
    counts = []
    for number in (2, 9):
        while Deployment.objects.open().count() < number:
            slug = f"place-{Deployment.objects.count()}"
            place = scene.environment(slug, "prod", FRANKFURT, "EU")
            scene.cover(f"TS-{slug}", subjects=(place.subject,))
            scene.serve(bank, bank.new, place)
        with CaptureQueriesContext(connection) as queries:
            assert noor.get(address).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 16, "the number of queries grows with what serves"
    page = noor.get(address).content.decode()
    assert 'href="/transfers/TS-place-2"' in page


def test_the_api_and_the_tables_hold_the_same_rows(bank: Bank, client_for: Browser, api_for: Browser) -> None:
    say(bank, backups=[FRANKFURT], support_access=["AE"])
    row = scene.serve(bank, bank.new, bank.uae)
    told = api_for("noor").get("/api/v1/residency").json()
    assert told["counts"] == {"uncovered": 1, "warned": 0, "covered": 0, "inside": 4, "free": 0}
    assert (told["decided_again"], told["undecided"]) == (1, [])
    worst = told["results"][0]
    assert (worst["state"], worst["kind"], worst["country"], worst["perimeter"]) == (
        "uncovered",
        "backup",
        "DE",
        "AE-federal",
    )
    assert worst["denied"] == [row.subject]
    for text in (
        b"".join(api_for("noor").get("/api/v1/residency.csv").streaming_content),  # type: ignore[attr-defined]
        b"".join(client_for("noor").get("/residency.csv").streaming_content),  # type: ignore[attr-defined]
    ):
        rows = list(csv.DictReader(io.StringIO(text.decode())))
        assert [each["state"] for each in rows] == [each["state"] for each in told["results"]]
        assert [each["region"] for each in rows] == [each["region"] or "" for each in told["results"]]
    assert Client().get("/api/v1/residency").status_code == 401


def test_an_unapproved_or_ended_safeguard_covers_nothing_on_the_map(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(bank, backups=[FRANKFURT])
    scene.cover("TS-9", days=3, subjects=("environment:prod-uae",))
    scene.serve(bank, bank.new, bank.uae)
    assert len(residency.residency().of(COVERED)) == 1
    truly = timezone.now
    monkeypatch.setattr(timezone, "now", lambda: truly() + timedelta(days=4))
    assert [flow.kind for flow in residency.residency().of(UNCOVERED)] == ["backup"]
