"""What serves by an emergency that nobody ratified is a finding, at once and by the clock, until another one serves."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from audit import queries as log
from audit.actors import Actor
from governance import emergency_findings, rollouts, tasks
from registry import deployments, finding_wording, findings
from registry.models import Finding, FindingKind
from registry.reconciling.run import reconcile
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.breaking import Later, later, review
from tests.governance.scene import Bank
from tests.governance.test_emergency_review import DUE, deployed

__all__ = ["later"]
Browser = Callable[[str], Client]


def standing() -> list[tuple[str, str]]:
    """What the standing findings of this kind are about, and how it stands."""
    rows = Finding.objects.standing().filter(kind=FindingKind.MUST_BE_REPLACED).order_by("pk")
    return [(row.concerns, row.observed["standing"]) for row in rows]


def served_before(bank: Bank) -> None:
    deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)


def go_back(bank: Bank) -> None:
    rollouts.record_rollback(bank.old, bank.uae, reason="Ordered.", incident="INC-204", by=scene.actor("layla"))


def settle() -> findings.Settled:
    with transaction.atomic():
        return emergency_findings.settle(by=Actor.system("test"))


def test_what_is_not_ratified_is_a_finding_at_once_and_gone_when_another_serves(bank: Bank) -> None:
    served_before(bank)
    row = deployed(bank)
    assert standing() == []
    review(row, ratified=False, reason="It could have waited.")
    assert standing() == [(row.subject, "not_ratified")]
    found = Finding.objects.get(kind=FindingKind.MUST_BE_REPLACED)
    assert finding_wording.sentence(found) == (
        f"credit-scoring/14 serves in prod-uae by {row.reference}, which was not ratified: let another version serve."
    )
    entry = log.history(found.subject)[0]
    assert (entry.event, entry.actor_id) == ("finding.opened", scene.actor("omar").id)
    go_back(bank)
    assert standing() == [], "with the rollback, before any clock"
    assert [each.event for each in log.history(found.subject)][:1] == ["finding.resolved"]


def test_a_late_review_is_a_finding_by_the_clock_and_the_review_settles_it(bank: Bank, later: Later) -> None:
    row = deployed(bank)
    later(DUE)
    tasks.follow_up_emergencies()
    assert standing() == [(row.subject, "overdue")]
    review(row)
    assert standing() == []


def test_late_and_then_not_ratified_is_another_finding(bank: Bank, later: Later) -> None:
    row = deployed(bank)
    later(DUE)
    tasks.follow_up_emergencies()
    findings.close(Finding.objects.get().pk, reason="Known.", by=scene.actor("layla"))
    review(row, ratified=False, reason="It could have waited.")
    assert standing() == [(row.subject, "not_ratified")]
    assert list(Finding.objects.waiting().values_list("observed__standing", flat=True)) == ["not_ratified"]


def test_it_is_settled_once_however_often_it_is_looked_at(bank: Bank, later: Later) -> None:
    served_before(bank)
    row = deployed(bank)
    later(DUE)
    for _again in range(3):
        tasks.follow_up_emergencies()
    assert (settle().opened, settle().gone) == (0, 0)
    found = Finding.objects.get()
    assert [each.event for each in log.history(found.subject)] == ["finding.opened"]
    go_back(bank)
    for _again in range(3):
        tasks.follow_up_emergencies()
    assert [each.event for each in log.history(found.subject)] == ["finding.resolved", "finding.opened"]
    row.refresh_from_db()
    assert row.replaced_at is not None


def test_the_reconciler_does_not_take_it_for_gone(bank: Bank) -> None:
    review(deployed(bank), ratified=False, reason="It could have waited.")
    reconcile(by=scene.actor("layla"))
    assert len(standing()) == 1


def test_what_does_not_serve_or_was_ratified_is_none(bank: Bank) -> None:
    served_before(bank)
    row = deployed(bank)
    go_back(bank)
    review(row, ratified=False, reason="It could have waited.")
    assert standing() == []
    assert settle().opened == 0


def test_the_finding_and_the_entry_of_the_review_stand_or_fall_together(
    bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = deployed(bank)

    def fails(*_arguments: object, **_more: object) -> None:
        raise RuntimeError("no")

    monkeypatch.setattr(findings, "settle_told", fails)
    with pytest.raises(RuntimeError):
        review(row, ratified=False, reason="It could have waited.")
    row.refresh_from_db()
    assert row.state == "confirmed"
    assert "emergency.not_ratified" not in [each.event for each in log.history(row.subject)]


def test_it_is_on_the_list_the_page_of_the_version_and_the_api(
    bank: Bank, client_for: Browser, api_for: Browser
) -> None:
    row = deployed(bank)
    review(row, ratified=False, reason="It could have waited.")
    seen = client_for("omar")
    for address in (
        reverse("registry:reconciler"),
        reverse("registry:version", args=["credit-scoring", 14]),
        Finding.objects.get().get_absolute_url(),
    ):
        page = seen.get(address).content.decode()
        assert f"{row.reference}, which was not ratified" in page, address
    assert "not_ratified" not in page, "words, not codes"
    assert "Another version has to serve" not in seen.get("/models/credit-scoring/13").content.decode()
    reconcile(by=scene.actor("layla"))
    assert "1 version serves by an emergency that nobody ratified." in seen.get("/reconciler").content.decode()
    listed = api_for("noor").get("/api/v1/findings?kind=must_be_replaced").json()["results"]
    assert [each["concerns"] for each in listed] == [row.subject]


def test_two_clocks_and_a_review_at_the_same_instant_open_one_finding(committed_db: CommittedDatabase) -> None:
    bank = scene.build()
    row = deployed(bank)
    barrier = threading.Barrier(3)

    def act(what: Callable[[], object]) -> None:
        try:
            barrier.wait()
            what()
        finally:
            connections.close_all()

    acts: list[Callable[[], object]] = [
        lambda: review(row, ratified=False, reason="It could have waited."),
        tasks.follow_up_emergencies,
        tasks.follow_up_emergencies,
    ]
    threads = [threading.Thread(target=act, args=(each,)) for each in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tasks.follow_up_emergencies()
    assert standing() == [(row.subject, "not_ratified")]
    assert Finding.objects.count() == 1
