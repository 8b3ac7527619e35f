"""A permit that was used, and no deployment was recorded: the use lapses, once, with an entry, never silently."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import DatabaseError, connections, transaction
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import Refusal
from governance import gate, promotions, tasks
from governance.models import Permit, Promotion
from governance.undeployed import undeployed
from registry import deployments
from registry.models import Deployment
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.breaking import Later, later
from tests.governance.scene import Bank
from tests.governance.test_attest_permits import allowed, claim, code_of, consume, number, record

__all__ = ["later"]
HOUR = timedelta(hours=1, seconds=1)
PROD = "prod-uae"


def claimed(bank: Bank) -> gate.Answer:
    """An approved promotion whose permit an admission controller used."""
    scene.approved(bank)
    answer = allowed(bank, PROD)
    claim(answer, environment=PROD)
    return answer


def test_a_use_that_nothing_followed_lapses_and_another_permit_deploys_once(bank: Bank, later: Later) -> None:
    answer = claimed(bank)
    later(HOUR)
    blocked = allowed(bank, PROD)
    assert code_of(lambda: record(blocked, environment=PROD)) == "permit.claimed", "no entry, no freedom"
    assert (tasks.lapse_claims(), tasks.lapse_claims()) == (1, 0)
    assert answer.decision is not None
    entry = next(row for row in log.history(answer.decision.subject) if row.event == "permit.lapsed")
    assert entry.actor_id == "system:permit-clock"
    assert entry.facts["decision"] == number(answer)
    assert answer.permit is not None
    assert code_of(lambda: record(answer, environment=PROD)) == "permit.lapsed"
    assert code_of(lambda: claim(answer, environment=PROD)) == "permit.used"
    fresh = allowed(bank, PROD)
    claim(fresh, environment=PROD)
    assert code_of(lambda: claim(blocked, environment=PROD)) == "permit.claimed", "one at a time"
    record(fresh, environment=PROD)
    for spent in (answer, blocked, fresh):
        assert code_of(lambda spent=spent: record(spent, environment=PROD)) in {
            "permit.lapsed",
            "permit.used",
            "permit.promotion_closed",
        }
    assert Deployment.objects.count() == 1
    assert Promotion.objects.get().state == "deployed"


def test_a_late_record_is_refused_with_a_sentence_before_and_after_the_clock(bank: Bank, later: Later) -> None:
    answer = claimed(bank)
    later(HOUR)
    for _again in range(2):
        with pytest.raises(Refusal) as refusal:
            record(answer, environment=PROD)
        assert refusal.value.code == "permit.lapsed"
        assert refusal.value.sentence.startswith("This permit was used, and its deployment had to be recorded until 2")
        assert answer.decision is not None
        assert log.history(answer.decision.subject)[0].event == "permit.refused"
        tasks.lapse_claims()
    assert not Deployment.objects.exists()


def test_within_the_hour_nothing_lapses_and_what_is_recorded_never_does(bank: Bank, later: Later) -> None:
    answer = claimed(bank)
    later(HOUR - timedelta(minutes=1))
    assert tasks.lapse_claims() == 0
    record(answer, environment=PROD)
    later(HOUR * 2)
    assert tasks.lapse_claims() == 0
    assert Permit.objects.get().lapsed_at is None


def test_a_use_without_a_promotion_and_of_a_withdrawn_one_lapse_too(bank: Bank, later: Later) -> None:
    claim(allowed(bank))
    claimed(bank)
    promotions.withdraw(Promotion.objects.get().pk, reason="Not needed.", by=scene.actor("yusuf"))
    later(HOUR)
    assert tasks.lapse_claims() == 2


def test_a_lapse_stays_a_finding_until_a_later_deployment_is_recorded_there(bank: Bank, later: Later) -> None:
    claimed(bank)
    later(HOUR)
    tasks.lapse_claims()
    assert "permit_used" in [each.what for each in undeployed()]
    deployments.record_deploy(bank.uae, bank.old, "all_at_once", "seed", "seed", by=scene.SET_UP)
    assert "permit_used" not in [each.what for each in undeployed()]


def test_the_answer_of_the_use_says_until_when(bank: Bank, api_for: Callable[[str], Client]) -> None:
    used = consume(api_for("ci"), allowed(bank)).json()
    permit = Permit.objects.get()
    assert permit.consumed_at is not None
    assert used["record_until"] > used["consumed_at"]
    assert permit.record_until == permit.consumed_at + timedelta(hours=1)


def test_the_database_refuses_a_lapse_of_what_was_not_used_and_one_before_its_hour(bank: Bank) -> None:
    answer = allowed(bank)
    with pytest.raises(DatabaseError), transaction.atomic():
        Permit.objects.update(lapsed_at=timezone.now())
    claim(answer)
    with pytest.raises(DatabaseError), transaction.atomic():
        Permit.objects.update(lapsed_at=timezone.now())


@pytest.mark.parametrize("attempt", range(3))
def test_a_lapse_and_a_record_at_the_same_instant_never_both_happen(
    committed_db: CommittedDatabase, monkeypatch: pytest.MonkeyPatch, attempt: int
) -> None:
    """Two records come in at the last moment while two clocks run a second past it, and a new permit waits for the
    lapse: whatever comes first, one deployment at most, and never one of a lapsed permit.
    """
    bank = scene.build()
    answer = claimed(bank)
    other = allowed(bank, PROD)
    permit = Permit.objects.get(decision=answer.decision)
    assert permit.consumed_at is not None
    end, truly, asked = permit.consumed_at + timedelta(hours=1), timezone.now, threading.local()
    monkeypatch.setattr(timezone, "now", lambda: getattr(asked, "at", None) or truly())
    barrier, said = threading.Barrier(5), list[str]()

    def at(moment: timedelta, act: Callable[[], object]) -> None:
        try:
            asked.at = end + moment
            barrier.wait()
            said.append(str(act()))
        except Refusal as refusal:
            said.append(refusal.code)
        finally:
            connections.close_all()

    before, after = timedelta(seconds=-1), timedelta(seconds=1)
    acts: list[tuple[timedelta, Callable[[], object]]] = [
        (before, lambda: f"recorded {record(answer, environment=PROD).permit_id}"),
        (before, lambda: f"recorded {record(answer, environment=PROD).permit_id}"),
        (after, tasks.lapse_claims),
        (after, tasks.lapse_claims),
        (before, lambda: f"recorded {record(other, environment=PROD).permit_id}"),
    ]
    threads = [threading.Thread(target=at, args=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.setattr(timezone, "now", truly)
    permit.refresh_from_db()
    served = [row.permit_id for row in Deployment.objects.all()]
    assert len(served) <= 1, said
    assert (permit.lapsed_at is None) == (str(permit.pk) in served), (said, served)
    assert sum(int(each) for each in said if each.isdigit()) == (permit.lapsed_at is not None), said
    assert set(said) <= {
        *("0", "1", f"recorded {permit.pk}", *(f"recorded {each}" for each in served)),
        *("permit.used", "permit.lapsed", "permit.claimed", "permit.promotion_closed"),
    }
