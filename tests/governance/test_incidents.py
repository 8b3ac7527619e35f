"""Opening, freezing and lifting an incident: what the gate says meanwhile, to whom, and what is on record."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict, NotKnown, NotPermitted, Refused
from config.stack import database
from governance import decisions, freezing, gate, policies, rollouts
from governance.facts import Case
from governance.models.decision import Decision
from governance.models.permit import Permit
from governance.policies.explain import FROZEN
from registry import datasets, incidents, versions
from registry.lineage import edges
from registry.models import Incident, IncidentState, ModelVersion
from tests.conftest import CommittedDatabase
from tests.governance import scene
from tests.governance.scene import Bank

SINCE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def real(committed_db: object) -> Bank:
    """The bank with real commits, so that the completeness trigger sees every transaction."""
    return scene.build()


def opened(root: str = "dataset:loans-2026q3", *, by: str = "omar", since: datetime = SINCE) -> Incident:
    return incidents.open_incident(
        "Consent was withdrawn", root=root, since=since, reason="Letter of 3 March.", by=scene.actor(by)
    )


def frozen(root: str = "dataset:loans-2026q3", *, by: str = "omar") -> Incident:
    return freezing.freeze(opened(root).reference, reason="Nothing of it may ship.", by=scene.actor(by))


def asked(version: ModelVersion, bank: Bank, action: str = "promote") -> gate.Answer:
    return gate.check(version, bank.uae, action=action, by=scene.actor("ci"))


def cited(answer: gate.Answer) -> list[dict[str, Any]]:
    return [dict(each) for each in answer.verdict.findings if each["rule"] == FROZEN]


def healthy(bank: Bank) -> ModelVersion:
    """A version of another model that learned from other data of the same people."""
    model = versions.register_model(
        "churn",
        title="Churn",
        owner="crm",
        purpose="Says who leaves.",
        risk="limited",
        risk_reason="x",
        by=scene.SET_UP,
    )
    other = datasets.register_dataset(
        "contacts",
        classification="personal",
        subjects=["AE"],
        regions_held=["azure:uaenorth"],
        confirmed=True,
        by=scene.SET_UP,
    )
    version = versions.register_version(model, digest=scene.digest_of("churn"), trained_by=["yusuf"], by=scene.SET_UP)
    edges.record_edge(other, version, by=scene.SET_UP)
    return version


def test_an_open_incident_is_known_and_holds_nothing(bank: Bank) -> None:
    scene.approved(bank)
    incident = opened()
    assert incident.reference.startswith(f"INC-{timezone.now():%Y}-")
    assert asked(bank.new, bank).verdict.outcome == "allow"
    assert [row.event for row in log.history(incident.subject)] == ["incident.opened"]


def test_a_frozen_version_is_denied_with_the_incident_cited_and_others_still_deploy(bank: Bank) -> None:
    other = healthy(bank)
    scene.approved(bank)
    scene.approved(bank, version=other)
    incident = frozen()
    answer = asked(bank.new, bank)
    assert (answer.verdict.outcome, answer.permit) == ("deny", None)
    (finding,) = cited(answer)
    assert answer.verdict.findings[0] == finding, "the incident is what is read first"
    assert finding["path"] == ["version:credit-scoring/14", "dataset:loans-2026q3"]
    assert (finding["outcome"], finding["severity"], finding["waived_by"]) == ("fail", "block", "")
    facts = finding["facts"]
    assert (facts["id"], facts["title"], facts["since"]) == (
        incident.reference,
        "Consent was withdrawn",
        "2026-01-01T00:00:00Z",
    )
    assert facts["frozen_by"] == scene.actor("omar").id
    for told in (incident.reference, "Consent was withdrawn", "2026-01-01", scene.actor("omar").id):
        assert told in finding["message"]
    assert set(finding["who"]) == {"compliance_officer", "dpo"}
    assert finding["where"] == f"/incidents/{incident.reference}"
    allowed = asked(other, bank)
    assert allowed.verdict.outcome == "allow"
    assert allowed.permit is not None


def test_a_version_that_learns_from_it_tomorrow_is_frozen_too(bank: Bank) -> None:
    incident = frozen()
    assert incident.held == ["version:credit-scoring/13", "version:credit-scoring/14"]
    derived = datasets.register_dataset(
        "features", classification="personal", subjects=["AE"], regions_held=["azure:uaenorth"], by=scene.SET_UP
    )
    run = edges.register_run("run-9", tracking_server="https://mlflow.example", contributors=["yusuf"], by=scene.SET_UP)
    later = versions.register_version(
        bank.model, digest=scene.digest_of("later"), trained_by=["yusuf"], by=scene.SET_UP
    )
    edges.record_edge(bank.loans, derived, by=scene.SET_UP)
    edges.record_edge(derived, run, by=scene.SET_UP)
    edges.record_edge(run, later, by=scene.SET_UP)
    (finding,) = cited(asked(later, bank))
    assert finding["path"] == [later.subject, "run:run-9", "dataset:features", "dataset:loans-2026q3"]


@pytest.mark.parametrize(
    ("root", "path"),
    [
        ("version:credit-scoring/13", ["version:credit-scoring/14", "version:credit-scoring/13"]),
        ("model:credit-scoring", ["version:credit-scoring/14", "model:credit-scoring"]),
        ("region:azure:uaenorth", ["version:credit-scoring/14", "dataset:loans-2026q3", "region:azure:uaenorth"]),
    ],
)
def test_a_version_a_model_and_a_region_can_be_frozen(bank: Bank, root: str, path: list[str]) -> None:
    edges.record_edge(bank.old, bank.new, by=scene.SET_UP)
    frozen(root)
    (finding,) = cited(asked(bank.new, bank))
    assert finding["path"] == path


def test_a_region_holds_what_would_serve_there_though_its_data_lie_elsewhere(bank: Bank) -> None:
    frozen("region:azure:germanywestcentral")
    answer = gate.check(bank.new, bank.frankfurt, by=scene.actor("ci"))
    (finding,) = cited(answer)
    assert finding["path"] == [bank.new.subject, "environment:dr-frankfurt", "region:azure:germanywestcentral"]
    assert cited(asked(bank.new, bank)) == []


def test_moving_the_data_out_of_a_frozen_region_does_not_free_what_it_had_reached(bank: Bank) -> None:
    frozen("region:azure:uaenorth")
    moved = {"regions": ["gcp:me-central2"]}
    datasets.state_dataset(bank.loans, moved, may_confirm=lambda: None, reason="Moved.", by=scene.SET_UP)
    staging_elsewhere = scene.environment("dr-riyadh", "dr", "gcp:me-central2", "SA")
    answer = gate.check(bank.new, staging_elsewhere, by=scene.actor("ci"))
    (finding,) = cited(answer)
    assert finding["path"] == [bank.new.subject, "region:azure:uaenorth"]


@pytest.mark.parametrize("action", ["promote", "deploy", "increase", "run"])
def test_no_action_goes_past_a_freeze(bank: Bank, action: str) -> None:
    frozen()
    assert asked(bank.new, bank, action).verdict.outcome == "deny"


def test_a_permit_from_before_the_freeze_is_refused_at_its_use_and_the_attempt_is_recorded(real: Bank) -> None:
    promotion = scene.approved(real)
    answer = asked(real.new, real)
    assert answer.decision is not None
    incident = incidents.freeze(opened().reference, reason="Stop.", by=scene.actor("omar"))
    with pytest.raises(Refused, match=incident.reference) as caught:
        rollouts.record_deploy(
            answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
        )
    assert caught.value.code == "permit.frozen"
    assert Permit.objects.get().consumed_at is None
    told = log.history(promotion.subject, limit=100)
    assert told[0].event == "permit.refused"
    assert told[0].facts["rule"] == "permit.frozen"


def test_a_rollback_to_a_frozen_version_is_refused_and_stays_recorded(real: Bank) -> None:
    good = healthy(real)
    for version in (real.old, real.new):
        scene.approved(real, version=version)
        answer = asked(version, real)
        assert answer.decision is not None
        rollouts.record_deploy(
            answer.decision.public_id, secret=answer.secret, environment="prod-uae", by=scene.actor("ci")
        )
    incident = frozen(real.old.subject)
    with pytest.raises(Refused) as caught:
        rollouts.record_rollback(
            real.old, real.uae, reason="Approvals doubled.", incident="INC-7", by=scene.actor("layla")
        )
    assert incident.reference in caught.value.reasons[0]
    assert Decision.objects.filter(action="rollback", outcome="deny").count() == 1
    assert cited(asked(good, real)) == []


def test_open_promotions_go_to_blocked_and_their_signatures_do_not_come_back_with_the_lift(real: Bank) -> None:
    promotion = scene.approved(real)
    assert (promotion.state, promotion.round) == ("approved", 1)
    incident = frozen()
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("blocked", 2)
    freezing.lift(incident.reference, reason="The consents were found.", by=scene.actor("dana"))
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("in_review", 3)
    answer = asked(real.new, real)
    assert answer.verdict.outcome == "pending"
    for name, role in (("layla", "ml_lead"), ("omar", "compliance_officer")):
        scene.sign(promotion, name, role)
    assert asked(real.new, real).verdict.outcome == "allow"


def test_a_signature_does_not_survive_a_freeze_that_nobody_saw_at_the_gate(bank: Bank) -> None:
    promotion = scene.approved(bank)
    incident = incidents.freeze(opened().reference, reason="Stop.", by=scene.actor("omar"))
    incidents.lift(incident.reference, reason="A mistake.", by=scene.actor("dana"))
    assert scene.decide(promotion).outcome == "pending"


def test_a_decision_of_a_freeze_replays_from_what_was_stored(bank: Bank) -> None:
    scene.approved(bank)
    frozen()
    answer = asked(bank.new, bank)
    assert answer.decision is not None
    stored = Decision.objects.get(public_id=answer.decision.public_id)
    facts = policies.thaw(stored.facts)
    assert facts.digest == stored.facts_digest
    again = policies.evaluate(answer.verdict.collected.packs, facts)  # type: ignore[union-attr]
    assert again.word == stored.outcome == "deny"
    assert [finding.as_json() for finding in again.findings] == stored.findings


def test_facts_from_before_incidents_existed_keep_their_digest(bank: Bank) -> None:
    case = Case(bank.new, bank.uae, "promote", {"strategy": "all_at_once"}, requested_by=scene.actor("ci").id)
    verdict = decisions.evaluate(case)
    assert "incidents" not in verdict.facts
    assert "incidents" not in verdict.subject_parts


@pytest.mark.parametrize("change", [{"path": []}, {"id": ""}, {"since": "yesterday"}, {"title": ""}, {"extra": "x"}])
def test_an_incident_fact_that_is_not_whole_cannot_be_decided_on(bank: Bank, change: dict[str, Any]) -> None:
    frozen()
    document = dict(asked(bank.new, bank).verdict.facts)
    document["incidents"] = [{**document["incidents"][0], **change}]
    with pytest.raises(policies.MissingFact):
        policies.thaw(document)
    document["incidents"] = []
    with pytest.raises(policies.MissingFact):
        policies.thaw(document)


def test_who_froze_cannot_lift_and_the_database_says_so_too(bank: Bank) -> None:
    incident = frozen()
    with pytest.raises(NotPermitted, match="second person"):
        freezing.lift(incident.reference, reason="Enough.", by=scene.actor("omar"))
    with pytest.raises(IntegrityError, match="two_people"), transaction.atomic():
        Incident.objects.filter(pk=incident.pk).update(
            state="lifted", ended_by=incident.frozen_by, ended_at=timezone.now()
        )
    lifted = freezing.lift(incident.reference, reason="The consents were found.", by=scene.actor("dana"))
    assert lifted.state == IncidentState.LIFTED
    assert cited(asked(bank.new, bank)) == []


def test_every_step_is_an_entry_and_the_freeze_names_what_it_held(real: Bank) -> None:
    incident = frozen()
    freezing.lift(incident.reference, reason="The consents were found.", by=scene.actor("dana"))
    rows = list(reversed(log.history(incident.subject)))
    assert [row.event for row in rows] == ["incident.opened", "incident.frozen", "incident.lifted"]
    assert [row.actor_id for row in rows] == [scene.actor(name).id for name in ("omar", "omar", "dana")]
    assert rows[1].facts["held"] == 2
    assert rows[1].facts["versions"] == incident.held
    assert rows[1].facts["root"] == "dataset:loans-2026q3"
    assert rows[2].reason == "The consents were found."


@pytest.mark.parametrize(
    "change",
    [
        "held = '[]'",
        "root = 'dataset:other'",
        "since = since + interval '1 day'",
        "title = 'Nothing happened'",
        "state = 'open'",
        "frozen_by = 'user:other'",
        "reason = 'Another'",
        "ended_by = 'user:other'",
    ],
)
def test_nothing_of_a_frozen_incident_can_be_rewritten(bank: Bank, change: str) -> None:
    incident = frozen()
    with pytest.raises(IntegrityError, match="only moves forward"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE registry_incident SET {change} WHERE id = %s", [incident.pk])


def test_a_change_without_an_entry_does_not_commit(real: Bank, committed_db: CommittedDatabase) -> None:
    incident = frozen()
    with psycopg.connect(committed_db.url(database.APP)) as own:
        own.execute(
            "UPDATE registry_incident SET state = 'lifted', ended_by = 'user:x', ended_at = now() WHERE id = %s",
            [incident.pk],
        )
        with pytest.raises(psycopg.errors.IntegrityConstraintViolation):
            own.commit()


def test_an_incident_goes_each_way_once(bank: Bank) -> None:
    incident = frozen()
    with pytest.raises(Conflict):
        freezing.freeze(incident.reference, reason="Again.", by=scene.actor("dana"))
    with pytest.raises(Conflict):
        incidents.close(incident.reference, reason="Never mind.", by=scene.actor("dana"))
    other = opened()
    with pytest.raises(Conflict):
        freezing.lift(other.reference, reason="Not frozen.", by=scene.actor("dana"))
    closed = incidents.close(other.reference, reason="It was another data set.", by=scene.actor("omar"))
    assert closed.state == IncidentState.CLOSED
    with pytest.raises(Conflict):
        freezing.freeze(other.reference, reason="After all.", by=scene.actor("dana"))


@pytest.mark.parametrize(
    ("root", "refusal"),
    [
        ("dataset:nothing", NotKnown),
        ("run:nothing", NotKnown),
        ("version:credit-scoring/99", NotKnown),
        ("version:credit-scoring/x", NotKnown),
        ("model:nothing", NotKnown),
        ("region:aws:atlantis-1", NotKnown),
        ("library:sha256:00", BadInput),
        ("dataset:", BadInput),
        ("loans-2026q3", BadInput),
        ("dataset:\0", BadInput),
    ],
)
def test_what_the_registry_does_not_have_cannot_be_frozen(bank: Bank, root: str, refusal: type[Exception]) -> None:
    with pytest.raises(refusal):
        opened(root)
    assert not Incident.objects.exists()


def test_an_incident_needs_a_title_a_reason_and_a_moment_that_has_passed(bank: Bank) -> None:
    good: dict[str, Any] = {"root": "dataset:loans-2026q3", "since": SINCE, "reason": "x", "by": scene.actor("omar")}
    for bad in ({"since": timezone.now() + timedelta(days=1)}, {"since": datetime(2026, 1, 1)}, {"reason": " "}):
        with pytest.raises(BadInput):
            incidents.open_incident("Title", **{**good, **bad})
    with pytest.raises(BadInput):
        incidents.open_incident("", **good)


def test_numbers_are_not_given_twice_though_two_open_at_once(real: Bank) -> None:
    made: list[str] = []

    def one() -> None:
        try:
            made.append(opened().reference)
        finally:
            connection.close()

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 4
