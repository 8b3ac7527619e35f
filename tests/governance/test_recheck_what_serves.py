"""What serves is decided again when its safeguard ends: a finding with an owner, an order to halt, gone when lawful."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit import queries as log
from audit.actors import Actor
from audit.refusals import BadInput, Conflict, NotKnown
from governance import decisions, gate, halting, rechecks, tasks, transfers
from governance.facts import Case
from governance.models.decision import Action
from governance.models.transfer import TransferHalt, TransferSafeguard
from registry import datasets, deployments, environments, finding_wording, findings, incidents, versions
from registry.lineage import edges
from registry.models import Deployment, Finding, FindingKind
from registry.reconciling.run import reconcile
from tests.governance import scene
from tests.governance.scene import Bank

Later = Callable[[timedelta], None]


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Later:
    """Move the clock on."""
    truly = timezone.now

    def move(by: timedelta) -> None:
        monkeypatch.setattr(timezone, "now", lambda: truly() + by)

    return move


def unlawful() -> list[Finding]:
    return list(Finding.objects.unlawful().order_by("pk"))


def test_a_promotion_abroad_is_denied_made_lawful_by_two_people_and_a_finding_when_that_ends(
    bank: Bank, later: Later
) -> None:
    """Journey J8."""
    salaries = datasets.register_dataset(
        "salaries-ksa",
        classification="personal",
        subjects=["SA"],
        regions_held=["gcp:me-central2"],
        confirmed=True,
        by=scene.SET_UP,
    )
    version = versions.register_version(
        bank.model, digest=scene.digest_of("credit-scoring/15"), trained_by=["yusuf"], number=15, by=scene.SET_UP
    )
    edges.record_edge(salaries, version, by=scene.SET_UP)
    denied = gate.check(version, bank.frankfurt, by=scene.actor("ci")).verdict
    assert denied.outcome == "deny"
    clause = next(each for each in denied.findings if each["rule"] == "SA-RES-001" and each["outcome"] == "fail")
    assert "TR Art. 4(1)" in clause["cites"]
    assert clause["path"] == [version.subject, "environment:dr-frankfurt"]

    scene.cover("TS-2", days=300, law="AE-federal")
    again = gate.check(version, bank.frankfurt, by=scene.actor("ci")).verdict
    assert again.outcome == "deny", "clauses under the law of the Emirates excuse nothing under the law of the Kingdom"
    scene.cover(law="SA")
    assert gate.check(version, bank.frankfurt, by=scene.actor("ci")).verdict.outcome == "pending", "people may sign now"
    serving = scene.serve(bank, version)
    assert rechecks.follow_up() == []
    assert unlawful() == []

    later(timedelta(days=31))
    assert rechecks.follow_up() == ["TS-1"]
    [finding] = unlawful()
    assert (finding.concerns, finding.environment) == (serving.subject, "dr-frankfurt")
    assert finding.observed["rule"] == "SA-RES-001"
    assert "TR Art. 4(1)" in finding.observed["cites"]
    assert finding.observed["safeguard"] == "TS-1"
    assert finding.observed["subjects"] == "environment:dr-frankfurt"
    sentence = finding_wording.sentence(finding)
    assert "credit-scoring/15 serves in dr-frankfurt and is no longer lawful since TS-1 ended" in sentence
    assert log.history(finding.subject)[0].event == "finding.opened"
    entry = log.history("safeguard:TS-1")[0]
    assert (entry.event, entry.facts["how"], entry.facts["deployments"]) == (
        "safeguard.ended",
        "expired",
        [serving.subject],
    )
    findings.take(finding.pk, by=scene.actor("dana"))
    findings.close(finding.pk, reason="It is drained on Sunday.", by=scene.actor("omar"))
    assert rechecks.follow_up() == []
    assert [each.state for each in unlawful()] == ["closed"], "accepted with a reason, and still there"


def test_an_unknown_country_anywhere_denies_and_is_found_in_what_serves(bank: Bank) -> None:
    scene.serve(bank, place=bank.uae)
    assert rechecks.recheck().opened == 0
    nowhere = datasets.register_dataset(
        "bureau", classification="personal", subjects=["AE"], regions_held=[], by=scene.SET_UP
    )
    edges.record_edge(nowhere, bank.new, by=scene.SET_UP)
    denied = gate.check(bank.new, bank.uae, by=scene.actor("ci")).verdict
    assert denied.outcome == "deny"
    rechecks.recheck()
    finding = next(each for each in unlawful() if each.observed["rule"] == "AE-RES-001")
    assert "an unknown region" in finding.observed["message"]
    assert finding.observed["subjects"] == "dataset:bureau"
    assert "safeguard" not in finding.observed


def test_a_revocation_is_followed_up_at_once_and_what_is_lawful_again_is_gone(
    bank: Bank, django_capture_on_commit_callbacks: Any, caplog: pytest.LogCaptureFixture
) -> None:
    scene.cover()
    scene.serve(bank)
    with django_capture_on_commit_callbacks(execute=True) as ordered:
        transfers.revoke("TS-1", reason="The importer was sold.", by=scene.actor("dana"))
    assert len(ordered) == 1
    assert "the clock will" in caplog.text, "no broker runs here, and the person who revokes must not notice"
    tasks.follow_up_safeguards()
    [finding] = unlawful()
    assert finding.observed["safeguard"] == "TS-1"
    scene.cover("TS-2")
    tasks.follow_up_safeguards()
    assert unlawful() == []
    finding.refresh_from_db()
    assert finding.gone is not None
    assert log.history(finding.subject)[0].event == "finding.resolved"


def test_deciding_again_twice_changes_nothing(bank: Bank) -> None:
    scene.cover()
    scene.serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    assert rechecks.follow_up() == ["TS-1"]
    before = log.search().rows[0].index
    assert rechecks.follow_up() == []
    assert rechecks.recheck().opened == 0
    assert log.search().rows[0].index == before
    assert Finding.objects.get().seen.times == 3


def test_a_finding_is_gone_when_the_deployment_is(bank: Bank) -> None:
    scene.cover()
    row = scene.serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    deployments.end_deployment(row, by=scene.SET_UP)
    rechecks.follow_up()
    assert unlawful() == []


def test_only_what_a_safeguard_can_touch_is_decided_again(bank: Bank) -> None:
    scene.cover(subjects=("dataset:loans-2026q3",))
    row = TransferSafeguard.objects.get()
    there, here = scene.serve(bank, bank.old), scene.serve(bank, bank.new, bank.uae)
    assert rechecks.touched_by([row]) == [there, here]
    other = versions.register_version(
        bank.model, digest=scene.digest_of("x"), trained_by=["yusuf"], number=20, by=scene.SET_UP
    )
    scene.serve(bank, other, bank.staging)
    assert rechecks.touched_by([row]) == [there, here]
    row.subjects = ["environment:staging"]
    assert [each.version for each in rechecks.touched_by([row])] == [other]


def test_what_cannot_be_decided_is_a_finding_too(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.cover()
    scene.serve(bank)

    def broken(case: Case, **more: object) -> decisions.Verdict:
        raise ValueError("a rule of somebody's own")

    with monkeypatch.context() as patched:
        patched.setattr(decisions, "evaluate", broken)
        assert rechecks.recheck().opened == 1
    [finding] = unlawful()
    assert finding.observed["outcome"] == "error"
    assert "whether it may cannot be decided: ValueError: a rule of somebody's own" in finding_wording.sentence(finding)
    assert rechecks.recheck().gone == 1


def test_shared_facts_are_the_facts_that_each_case_would_read_alone(bank: Bank) -> None:
    opened = incidents.open_incident(
        "Consent withdrawn",
        root=bank.loans.subject,
        since=timezone.now() - timedelta(days=9),
        reason="Letter.",
        by=scene.actor("omar"),
    )
    scene.cover()
    scene.serve(bank, bank.old)
    scene.serve(bank, bank.new, bank.uae)
    for frozen in (False, True):
        if frozen:
            incidents.freeze(opened.reference, reason="Nothing may ship.", by=scene.actor("omar"))
        rows = rechecks.serving()
        judged = {each.deployment.pk: each for each in rechecks.judge(rows, rechecks.read(rows))}
        for row in rows:
            plan = {"strategy": row.strategy, "weight": row.weight}
            case = Case(row.version, row.environment, Action.RUN, plan, rechecks.CLOCK.id)
            alone = decisions.evaluate(case, needs_signoffs=False)
            with rechecks.sharing.using(rechecks.read(rows)):
                together = decisions.evaluate(case, needs_signoffs=False)
            assert {**together.facts, "now": ""} == {**alone.facts, "now": ""}
            assert together.findings == alone.findings
            assert judged[row.pk].lawful == (alone.outcome == "allow") == (not frozen)


def test_deciding_again_takes_as_many_queries_for_twelve_as_for_two(bank: Bank) -> None:
    counts = []
    for number in (2, 12):
        while Deployment.objects.open().count() < number:
            slug = f"place-{Deployment.objects.count()}"
            scene.serve(bank, bank.new, scene.environment(slug, "prod", "azure:uaenorth", "AE-federal"))
        with CaptureQueriesContext(connection) as queries:
            rows = rechecks.serving()
            assert all(each.lawful for each in rechecks.judge(rows, rechecks.read(rows)))
        assert len(rows) == number
        counts.append(len(queries))
    assert counts[0] == counts[1] <= 10


def test_the_reconciler_and_this_leave_each_others_findings_alone(bank: Bank) -> None:
    scene.cover()
    scene.serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    rechecks.follow_up()
    reconcile(by=scene.SET_UP)
    assert len(unlawful()) == 1
    environments.register_endpoint(
        "credit-frankfurt",
        environment=bank.frankfurt,
        version=bank.old,
        url="http://127.0.0.1:1",
        output={"kind": "score"},
        by=scene.SET_UP,
    )
    reconcile(by=scene.SET_UP)
    kinds = set(Finding.objects.standing().values_list("kind", flat=True))
    assert len(kinds) > 1
    rechecks.recheck()
    assert set(Finding.objects.standing().values_list("kind", flat=True)) == kinds
    assert FindingKind.NO_LONGER_LAWFUL in kinds


def test_what_would_fall_without_a_safeguard_is_computed_by_deciding_without_it(bank: Bank) -> None:
    scene.cover("TS-1", days=10)
    row = scene.serve(bank)
    rows = rechecks.serving()
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    assert [each.deployment for each in rechecks.falling("TS-1", judged, shared)] == [row]
    scene.cover("TS-2", days=20)
    shared = rechecks.read(rows)
    judged = rechecks.judge(rows, shared)
    assert rechecks.falling("TS-1", judged, shared) == rechecks.falling("TS-2", judged, shared) == []


def test_halting_is_ordered_owned_and_done_with_who_was_notified(bank: Bank) -> None:
    scene.cover()
    scene.cover("TS-unused", subjects=("environment:staging",))
    row = scene.serve(bank)
    with pytest.raises(NotKnown):
        halting.find("TS-1")
    for reference in ("TS-1", "TS-unused"):
        transfers.revoke(reference, reason="Sold.", by=scene.actor("dana"))
    assert sorted(rechecks.follow_up()) == ["TS-1", "TS-unused"]
    halt = TransferHalt.objects.get()
    assert halt.safeguard.reference == "TS-1", "nothing relied on the other"
    assert halt.relied == [
        {"deployment": row.subject, "version": bank.new.subject, "environment": "dr-frankfurt"},
    ]
    assert halting.take("TS-1", by=scene.actor("dana")).owner == scene.actor("dana").id
    with pytest.raises(Conflict):
        halting.take("TS-1", by=scene.actor("dana"))
    for reason, recipients in (("", ["Bank, Frankfurt"]), ("Drained.", []), ("Drained.", [" "])):
        with pytest.raises(BadInput):
            halting.done("TS-1", reason=reason, recipients=recipients, by=scene.actor("dana"))
    halting.done("TS-1", reason="Drained.", recipients=["Bank, Frankfurt"], by=scene.actor("dana"))
    assert [each.event for each in log.history("halt:TS-1")] == ["halt.done", "halt.taken", "halt.opened"]
    with pytest.raises(Conflict):
        halting.done("TS-1", reason="Again.", recipients=["x"], by=scene.actor("omar"))
    for change in ({"recipients": []}, {"relied": []}, {"done_by": ""}):
        with pytest.raises(DatabaseError), transaction.atomic():
            TransferHalt.objects.update(**change)


def test_what_is_covered_by_a_renewal_is_not_ordered_to_halt(bank: Bank, later: Later) -> None:
    scene.cover("TS-1", days=10)
    scene.cover("TS-2", days=40)
    scene.serve(bank)
    later(timedelta(days=11))
    assert rechecks.follow_up() == ["TS-1"]
    assert not TransferHalt.objects.exists()
    assert unlawful() == []


@pytest.mark.parametrize("work", [rechecks.follow_up, rechecks.recheck])
def test_two_workers_at_once_open_one_finding_and_one_order(committed_db: object, work: Callable[..., object]) -> None:
    bank = scene.build()
    scene.cover()
    scene.serve(bank)
    transfers.revoke("TS-1", reason="Sold.", by=scene.actor("dana"))
    failed: list[BaseException] = []

    def worker() -> None:
        try:
            work(by=Actor.system("rechecks"))
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    workers = [threading.Thread(target=worker) for _ in range(2)]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [rechecks.LOCK])
        for each in workers:
            each.start()
        assert _waiting(workers) == 2, "each waits for the one before it"
    for each in workers:
        each.join(60)
    assert not failed
    assert Finding.objects.unlawful().count() == 1
    rechecks.follow_up()
    assert TransferHalt.objects.count() == 1
    assert [each.event for each in log.history("safeguard:TS-1")].count("safeguard.ended") == 1


def _waiting(workers: list[threading.Thread]) -> int:
    """How many wait for an advisory lock once all do, or one has ended."""
    waiting = 0
    while waiting < len(workers) and all(each.is_alive() for each in workers):
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted")
            (waiting,) = cursor.fetchone() or (0,)
    return int(waiting)
