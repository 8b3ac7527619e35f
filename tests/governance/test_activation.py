"""A policy comes into force at an instant: exactly then, without anybody who notes it, and only one waits at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from datetime import timezone as zones
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.as_of import Told, fold
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from governance import as_of, backtests, gate, packs, policies, replay, tasks
from governance import facts as collecting
from governance.facts import Case
from governance.models.decision import Action
from governance.models.policy import PackState, PolicyPack
from tests.governance import scene
from tests.governance.policies.cases import without_cases
from tests.governance.scene import Bank

SLUG = "uae-pdpl"
#: With version 2 nothing but Abu Dhabi counts as the UAE, so what is in Dubai is denied.
STRICTER = (
    without_cases(policies.shipped_packs()[SLUG])
    .replace("version: 1\n", "version: 2\n", 1)
    .replace('"azure:uaenorth", ', "", 1)
)
Browser = Callable[[str], Client]


@pytest.fixture
def at_clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Set the clock."""
    return lambda moment: monkeypatch.setattr(timezone, "now", lambda: moment)


Clock = Callable[[datetime], None]


def instant(hours: int = 2) -> datetime:
    return (timezone.now() + timedelta(hours=hours)).replace(microsecond=0)


def drafted(text: str = STRICTER, *, tried: bool = True) -> PolicyPack:
    row = packs.draft(text, by=scene.actor("omar"))
    if tried:
        backtests.perform(backtests.request(row.slug, row.version, by=scene.actor("omar")).pk)
    return row


def scheduled(at: datetime, *, text: str = STRICTER, by: str = "dana") -> PolicyPack:
    row = drafted(text)
    return packs.activate(row.slug, row.version, reason="From the new year.", at=at, by=scene.actor(by))


def version_in_force(now: datetime | None = None) -> int:
    return next(pack.version for pack in packs.active_packs(now) if pack.id == SLUG)


def states() -> dict[int, str]:
    return dict(PolicyPack.objects.filter(slug=SLUG).values_list("version", "state"))


def outcome_in_staging(bank: Bank) -> str:
    return str(gate.check(bank.new, bank.staging, by=scene.actor("ci")).verdict.outcome)


def test_it_decides_from_the_very_second_and_not_before(bank: Bank) -> None:
    at = instant()
    row = scheduled(at)
    assert (row.state, row.activated_at, row.activated_by) == (PackState.SCHEDULED, at, scene.actor("dana").id)
    assert version_in_force(at - timedelta(microseconds=1)) == 1
    assert version_in_force(at) == 2
    assert len(packs.active_packs(at)) == len(packs.active_packs(at - timedelta(seconds=1)))


def test_the_gate_asks_it_one_second_after_though_no_worker_runs(bank: Bank, at_clock: Clock) -> None:
    at = instant()
    scheduled(at)
    at_clock(at - timedelta(microseconds=1))
    assert outcome_in_staging(bank) == "allow"
    at_clock(at)
    assert outcome_in_staging(bank) == "deny"
    at_clock(at + timedelta(seconds=1))
    answer = gate.check(bank.new, bank.staging, by=scene.actor("ci"))
    assert {"pack": SLUG, "version": 2} in [
        {"pack": each["pack"], "version": each["version"]} for each in answer.verdict.packs
    ]
    assert states() == {1: "active", 2: "scheduled"}, "nobody noted it, and nothing waited for that"


def test_a_decision_picks_its_packs_by_its_own_moment_and_not_by_the_clock(bank: Bank) -> None:
    at = instant()
    scheduled(at)
    case = Case(bank.new, bank.staging, Action.PROMOTE, {}, requested_by=scene.actor("ci").id)
    for moment, version in ((at - timedelta(seconds=1), 1), (at, 2)):
        used = {pack.id: pack.version for pack in collecting.collect(case, now=moment).packs}
        assert used[SLUG] == version


def test_one_query_whatever_waits(bank: Bank, django_assert_num_queries: Any) -> None:
    scheduled(instant())
    with django_assert_num_queries(1):
        packs.active_packs()


def test_a_text_that_is_not_the_one_of_its_digest_stops_the_gate(bank: Bank) -> None:
    text = scene.run_on_record(version=1, severity="warn")
    row = packs.draft(text, by=scene.actor("omar"))
    stored = {field.attname: getattr(row, field.attname) for field in PolicyPack._meta.concrete_fields}
    stored |= {"id": None, "version": 2, "state": "active", "digest": scene.digest_of("what was signed")}
    with transaction.atomic():
        PolicyPack.objects.create(**stored | {"activated_at": timezone.now(), "activated_by": scene.actor("dana").id})
        with pytest.raises(policies.PackError, match="is not the text that was put in force"):
            packs.active_packs()
        answer = gate.check(bank.new, bank.staging, dry_run=True, by=scene.actor("ci"))
        transaction.set_rollback(True)  # such a row has no entry, so nothing but this test could leave it there
    assert (answer.verdict.outcome, answer.permit) == ("error", None)


def test_sign_offs_that_were_given_before_are_stale_after(bank: Bank, at_clock: Clock) -> None:
    promotion = scene.approved(bank)
    at = instant()
    scheduled(at, text=without_cases(policies.shipped_packs()[SLUG]).replace("version: 1\n", "version: 2\n", 1))
    assert scene.decide(promotion).outcome == "allow"
    at_clock(at)
    assert scene.decide(promotion).outcome == "pending"


def test_a_decision_from_before_replays_by_its_stored_text_after(bank: Bank, at_clock: Clock) -> None:
    at = instant()
    scheduled(at)
    decision = gate.check(bank.new, bank.staging, by=scene.actor("ci")).decision
    assert decision is not None
    at_clock(at + timedelta(days=1))
    done = replay.replay(decision, by=scene.actor("noor"))
    assert done.same
    assert replay.what_if(decision).word == "deny"


def test_the_rows_settle_with_entries_that_say_who_and_when(bank: Bank, at_clock: Clock) -> None:
    at = instant()
    row = scheduled(at)
    assert tasks.settle_packs() == 0
    at_clock(at + packs.LEEWAY - timedelta(seconds=1))
    assert tasks.settle_packs() == 0, "a decision of the second before may still be reading"
    at_clock(at + packs.LEEWAY)
    assert tasks.settle_packs() == 1
    assert states() == {1: "retired", 2: "active"}
    assert tasks.settle_packs() == 0
    row.refresh_from_db()
    assert (row.activated_at, row.activated_by) == (at, scene.actor("dana").id)
    events = [each.event for each in log.history(row.subject, limit=9)]
    assert events[:2] == ["pack.activated", "pack.scheduled"]
    assert version_in_force(at - timedelta(days=1)) == 2, "what is noted decides, whatever the clock does then"


def test_settling_looks_at_what_serves(bank: Bank, at_clock: Clock) -> None:
    from registry.models import Finding

    scene.serve(bank, place=bank.staging)
    at = instant()
    scheduled(at)
    at_clock(at + packs.LEEWAY)
    tasks.settle_packs()
    assert [row.observed["pack"] for row in Finding.objects.unlawful()] == [SLUG]


def test_a_second_one_cannot_wait_and_none_comes_before_it(bank: Bank) -> None:
    at = instant()
    scheduled(at)
    third = drafted(STRICTER.replace("version: 2\n", "version: 3\n"))
    for when in (at + timedelta(days=1), None):
        with pytest.raises(Conflict) as refusal:
            packs.activate(SLUG, third.version, reason="Sooner.", at=when, by=scene.actor("dana"))
        assert refusal.value.code == "pack.scheduled"
        assert "uae-pdpl v2" in refusal.value.sentence
    with pytest.raises(Conflict):
        packs.activate(SLUG, 2, reason="Now.", by=scene.actor("dana"))
    assert states() == {1: "active", 2: "scheduled", 3: "draft"}


def test_after_its_instant_the_next_one_may_follow_though_nobody_noted_it(bank: Bank, at_clock: Clock) -> None:
    at = instant()
    scheduled(at)
    third = drafted(STRICTER.replace("version: 2\n", "version: 3\n"))
    at_clock(at + timedelta(seconds=1))
    packs.activate(SLUG, third.version, reason="Milder.", by=scene.actor("dana"))
    assert states() == {1: "retired", 2: "retired", 3: "active"}
    assert version_in_force() == 3


def test_it_is_taken_back_by_a_person_with_a_reason_until_its_instant(bank: Bank, at_clock: Clock) -> None:
    at = instant()
    row = scheduled(at)
    with pytest.raises(NotPermitted):
        packs.unschedule(SLUG, 2, reason="No.", by=scene.actor("ci"))
    with pytest.raises(BadInput):
        packs.unschedule(SLUG, 2, reason=" ", by=scene.actor("dana"))
    with pytest.raises(NotKnown):
        packs.unschedule(SLUG, 9, reason="No.", by=scene.actor("dana"))
    with pytest.raises(Conflict):
        packs.unschedule(SLUG, 1, reason="No.", by=scene.actor("dana"))
    packs.unschedule(SLUG, 2, reason="Too early.", by=scene.actor("layla"))
    row.refresh_from_db()
    assert (row.state, row.activated_at, row.activated_by) == (PackState.DRAFT, None, "")
    assert log.history(row.subject, limit=1)[0].event == "pack.unscheduled"
    assert version_in_force(at) == 1
    packs.activate(SLUG, 2, reason="After all.", at=at, by=scene.actor("dana"))
    at_clock(at)
    with pytest.raises(Conflict) as refusal:
        packs.unschedule(SLUG, 2, reason="Too late.", by=scene.actor("dana"))
    assert refusal.value.code == "pack.in_force"


@pytest.mark.parametrize(
    ("at", "code"),
    [
        (datetime(2020, 1, 1, tzinfo=UTC), "pack.instant_over"),
        (datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=UTC), "pack.instant"),
        (datetime(2100, 1, 1), "pack.instant"),
    ],
)
def test_an_instant_that_is_over_or_none_is_refused(bank: Bank, at: datetime, code: str) -> None:
    drafted()
    with pytest.raises(BadInput) as refusal:
        packs.activate(SLUG, 2, reason="x", at=at, by=scene.actor("dana"))
    assert refusal.value.code == code
    assert states() == {1: "active", 2: "draft"}


def test_this_very_second_is_over_and_another_zone_is_the_same_instant(bank: Bank, at_clock: Clock) -> None:
    drafted()
    now = timezone.now().replace(microsecond=0)
    at_clock(now)
    with pytest.raises(BadInput):
        packs.activate(SLUG, 2, reason="x", at=now, by=scene.actor("dana"))
    riyadh = (now + timedelta(hours=1)).astimezone(zones(timedelta(hours=3)))
    packs.activate(SLUG, 2, reason="x", at=riyadh, by=scene.actor("dana"))
    assert version_in_force(now + timedelta(hours=1)) == 2
    assert version_in_force(now + timedelta(minutes=59, seconds=59)) == 1


def test_two_people_and_a_back_test_as_for_any_activation(bank: Bank) -> None:
    at = instant()
    drafted(tried=False)
    with pytest.raises(NotPermitted) as self_made:
        packs.activate(SLUG, 2, reason="x", at=at, by=scene.actor("omar"))
    assert self_made.value.code == "pack.self_activation"
    with pytest.raises(NotPermitted):
        packs.activate(SLUG, 2, reason="x", at=at, by=scene.actor("ci"))
    with pytest.raises(Refused) as untried:
        packs.activate(SLUG, 2, reason="x", at=at, by=scene.actor("dana"))
    assert untried.value.code == "pack.no_backtest"
    with pytest.raises(BadInput):
        packs.activate(SLUG, 2, reason="", at=at, by=scene.actor("dana"))
    assert states() == {1: "active", 2: "draft"}


def test_the_database_holds_one_active_and_one_waiting_with_its_instant(bank: Bank) -> None:
    scheduled(instant())
    drafted(STRICTER.replace("version: 2\n", "version: 3\n"))
    third = PolicyPack.objects.filter(slug=SLUG, version=3)
    for change in (
        {"state": "scheduled", "activated_at": timezone.now(), "activated_by": "user:x"},
        {"state": "active", "activated_at": timezone.now(), "activated_by": "user:x"},
    ):
        with pytest.raises(IntegrityError), transaction.atomic():
            third.update(**change)
    packs.unschedule(SLUG, 2, reason="x", by=scene.actor("dana"))
    with pytest.raises(IntegrityError), transaction.atomic():
        third.update(state="scheduled")


def test_a_pack_whose_cases_fail_by_now_is_not_put_in_force(bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    text = STRICTER + "cases:\n  - name: In Dubai\n    expect: {AE-RES-001: pass}\n"
    with pytest.raises(BadInput) as refusal:
        packs.draft(text, by=scene.actor("omar"))
    assert "expects pass; fail (in_region) came out" in refusal.value.sentence
    monkeypatch.setattr(policies, "lint_pack", policies.compile_pack)
    row = drafted(text)
    monkeypatch.undo()
    for at in (None, instant()):
        with pytest.raises(BadInput) as refusal:
            packs.activate(row.slug, row.version, reason="x", at=at, by=scene.actor("dana"))
        assert refusal.value.code == "pack.invalid"


def test_as_of_a_moment_the_instant_counts_before_the_entry_that_notes_it() -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)

    def told(number: int, version: int, event: str, to: str = "", **facts: Any) -> Told:
        said = {"pack": "p", "version": version, "digest": "d", "title": "t", **facts, **({"to": to} if to else {})}
        return Told(1, number, event, f"pack:p/{version}", f"pack/{version}", "user:x", began, said)

    entries = [
        told(1, 1, "pack.drafted"),
        told(2, 1, "pack.activated", "active"),
        told(3, 2, "pack.drafted"),
        told(4, 2, "pack.scheduled", "scheduled", instant="2027-01-01T00:00:00Z"),
    ]
    found = fold(entries).values()

    def at(moment: datetime) -> dict[int, str]:
        return {each.version: each.state for each in as_of.packs_of(found, moment)}

    assert at(datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC)) == {1: "active", 2: "scheduled"}
    assert at(datetime(2027, 1, 1, tzinfo=UTC)) == {1: "retired", 2: "active"}


def test_the_whole_way_by_api(bank: Bank, api_for: Browser, client_for: Browser) -> None:
    drafted()
    dana, omar = client_for("dana"), client_for("omar")
    at = instant().strftime("%Y-%m-%dT%H:%M:%SZ")

    def post(client: Client, path: str, body: object) -> Any:
        return client.post(f"/api/v1/policies/uae-pdpl/2/{path}", json.dumps(body), content_type="application/json")

    for body, status in (
        ({"reason": "x", "at": "2027-01-01"}, 400),
        ({"reason": "x", "at": "2027-01-01T00:00:00"}, 400),
        ({"reason": "x", "at": "2020-01-01T00:00:00Z"}, 400),
        ({"reason": "x", "at": "2100-01-01T00:00:00.5Z"}, 400),
        ({"reason": "x", "when": at}, 400),
    ):
        answer = post(dana, "activate", body)
        assert (answer.status_code, states()[2]) == (status, "draft"), answer.content
    assert post(omar, "activate", {"reason": "x", "at": at}).json()["code"] == "pack.self_activation"
    assert post(api_for("omar"), "activate", {"reason": "x", "at": at}).status_code == 403
    made = post(dana, "activate", {"reason": "x", "at": at}).json()
    assert (made["state"], made["activated_at"]) == ("scheduled", at)
    assert post(client_for("noor"), "unschedule", {"reason": "x"}).status_code == 403
    assert post(api_for("omar"), "unschedule", {"reason": "x"}).status_code == 403
    assert post(dana, "unschedule", {}).status_code == 400
    back = post(dana, "unschedule", {"reason": "Too early."}).json()
    assert (back["state"], back["activated_at"]) == ("draft", None)
    assert post(dana, "unschedule", {"reason": "Again."}).status_code == 409


def test_the_cases_of_a_text_by_api(bank: Bank, api_for: Browser) -> None:
    def post(text: str, client: str = "ci") -> Any:
        body = json.dumps({"text": text})
        return api_for(client).post("/api/v1/policies/test", body, content_type="application/json")

    whole = policies.shipped_packs()[SLUG]
    good = post(whole).json()
    assert (good["pack"], good["failing"], good["holding"]) == (SLUG, 0, len(good["cases"]))
    bad = post(whole.replace('"azure:uaenorth", ', "", 1))
    assert bad.status_code == 200
    found = bad.json()
    assert found["failing"] == sum(not each["holds"] for each in found["cases"]) > 0
    first = next(each for each in found["cases"] if not each["holds"])
    assert first["expectations"][0]["expected"] == {"outcome": "allow", "failed": None}
    assert first["expectations"][0]["found"]["outcome"] == "deny"
    assert post(without_cases(whole)).json()["cases"] == []
    misspelt = post(whole.replace("- name: Where", "- nmae: Where"))
    assert misspelt.status_code == 400
    assert "nmae" in str(misspelt.json())
    assert not PolicyPack.objects.filter(version=2).exists()
