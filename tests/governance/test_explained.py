"""What explanations mean to the gate: facts, rules, and evidence that comes and goes by itself."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit.queries import history
from explain import erasure, inputs, jobs, queueing
from explain.models import ExplanationJob, Standing
from governance import decisions, evidence, explained, gate, packs, policies, promotions, rechecks, replay
from governance.facts import Case
from governance.models.decision import Action
from governance.models.evidence import Evidence, EvidenceType
from registry import environments
from registry.models import Endpoint
from tests.explain import finishing
from tests.governance import scene
from tests.governance.scene import Bank
from tests.governance.test_evidence import paper

RULES = {"XPL-001", "XPL-002"}


@pytest.fixture(autouse=True)
def _no_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queueing, "enqueue", lambda _job_id, **_expires: True)


@pytest.fixture
def endpoint(bank: Bank) -> Endpoint:
    """The candidate answers in staging."""
    return environments.register_endpoint(
        "scoring",
        environment=bank.staging,
        version=bank.new,
        url="http://127.0.0.1:9/invocations",
        output={"kind": "probability", "of_class": "1"},
        by=scene.SET_UP,
    )


def enforce() -> None:
    """The bank's own version of the checklist: the same rules, they block, and two rows are enough."""
    text = policies.shipped_packs()["explained-models"].partition("\ncases:\n")[0] + "\n"
    text = text.replace("version: 1\n", "version: 2\n").replace("least_rows: 20", "least_rows: 2")
    scene.in_force(packs.draft(text.replace("severity: warn", "severity: block"), by=scene.actor("omar")))


def asked(bank: Bank) -> decisions.Verdict:
    return gate.check(bank.new, bank.uae, dry_run=True, by=scene.actor("ci")).verdict


def failing(bank: Bank) -> set[str]:
    return {each["rule"] for each in asked(bank).findings if each["outcome"] == "fail" and each["rule"][:3] == "XPL"}


def piece(job: ExplanationJob) -> Evidence:
    return Evidence.objects.get(digest=job.receipt_digest)


def test_the_checklist_warns_as_shipped_and_facts_without_explanations_are_as_they_were(bank: Bank) -> None:
    verdict = asked(bank)
    assert verdict.outcome == "pending", "only signatures are missing"
    assert failing(bank) == RULES
    assert "explanations" not in verdict.facts


def test_both_methods_attach_as_evidence_and_satisfy_the_gate(bank: Bank, endpoint: Endpoint) -> None:
    enforce()
    assert asked(bank).outcome == "deny"
    shap, lime = finishing.finished(endpoint), finishing.finished(endpoint, method="lime")
    verdict = asked(bank)
    assert (failing(bank), verdict.outcome) == (set(), "pending")
    facts = {each["id"]: each for each in verdict.facts["explanations"]}
    assert facts[shap.subject] == {
        "id": shap.subject,
        "subject": bank.new.subject,
        "version_digest": bank.new.digest,
        "method": "shap",
        "algorithm": "pair_perm",
        "level": "standard",
        "scale": "probability",
        "standing": "evidence",
        "fresh": True,
        "stale": [],
        "stable": True,
        "erased": False,
        "rows": 2,
        "background": 30,
        "finished_at": shap.receipt["ended"].replace("+00:00", "Z"),
        "environment": "staging",
        "receipt": shap.receipt_digest,
    }
    assert facts[lime.subject]["method"] == "lime"
    told = {each["rule"]: each["message"] for each in verdict.findings}
    assert told["XPL-001"].endswith(f"shown by {shap.subject}.")
    assert {each.type for each in Evidence.objects.all()} == {"explanation"}


def test_what_a_machine_records_is_nobodys_word(bank: Bank, endpoint: Endpoint) -> None:
    layla = scene.actor("layla")
    job = finishing.finish(finishing.ask(endpoint, count=2, by=layla), by=layla)
    row = piece(job)
    assert (row.issued_by, row.author, row.artifact_digest) == (jobs.WORKER.id,) * 2 + (bank.new.digest,)
    assert row.issued_by.startswith("system:"), "a rule for independent people asks for user:"
    assert row.expires_at == job.ended + explained.LASTS
    (entry,) = (each for each in history(row.subject) if each.event == "evidence.recorded")
    assert entry.facts["digest"] == job.receipt_digest
    assert (entry.actor_id, row.environment) == (jobs.WORKER.id, None)


def test_the_page_of_the_evidence_leads_to_what_can_be_run_again(
    bank: Bank, endpoint: Endpoint, client_for: Any
) -> None:
    job = finishing.finished(endpoint)
    page = client_for("noor").get(piece(job).get_absolute_url()).content.decode()
    assert f'href="{job.get_absolute_url()}"' in page
    by_hand = evidence.record("explanation", bank.new, paper(), by=scene.actor("dana"))
    assert "/explanations/" not in client_for("noor").get(by_hand.get_absolute_url()).content.decode()


def test_a_draft_attaches_nothing_and_takes_nothing_away(bank: Bank, endpoint: Endpoint) -> None:
    enforce()
    draft = finishing.finished(endpoint, good=False)
    assert draft.standing == Standing.DRAFT
    assert not Evidence.objects.exists()
    (finding,) = (each for each in asked(bank).findings if each["rule"] == "XPL-001")
    assert finding["closest"] == [{"id": draft.subject, "failed": ["counts", "stable"]}]
    finishing.finished(endpoint)
    finishing.finished(endpoint, good=False)
    assert failing(bank) == {"XPL-002"}


def test_another_contract_makes_it_stale_and_the_gate_says_so(bank: Bank, endpoint: Endpoint) -> None:
    enforce()
    finishing.finished(endpoint)
    assert "XPL-001" not in failing(bank)
    environments.change_endpoint(endpoint, output={"kind": "probability", "of_class": "0"}, by=scene.SET_UP)
    (finding,) = (each for each in asked(bank).findings if each["rule"] == "XPL-001")
    assert (finding["outcome"], finding["closest"][0]["failed"]) == ("fail", ["fresh"])
    assert asked(bank).facts["explanations"][0]["stale"] == ["config"]


def test_an_erased_row_withdraws_the_evidence_in_the_same_transaction(bank: Bank, endpoint: Endpoint) -> None:
    enforce()
    job = finishing.finished(endpoint, subjects={"r0": "person-7"})
    erasure.erase_rows("person-7", reason="Asked to be forgotten.", by=scene.actor("omar"))
    row = piece(job)
    assert (row.state, row.withdrawn_by) == ("withdrawn", scene.actor("omar").id)
    assert job.subject in row.withdrawn_reason
    (finding,) = (each for each in asked(bank).findings if each["rule"] == "XPL-001")
    assert finding["closest"][0]["failed"] == ["repeatable"]


def test_what_no_longer_fits_its_receipt_is_withdrawn_by_the_clock(
    bank: Bank, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    job, other = finishing.finished(endpoint), finishing.finished(endpoint, method="lime")
    assert explained.withdraw_tampered() == []
    monkeypatch.setattr(explained.receipts, "problems", lambda each: ["It lies."] if each.pk == job.pk else [])
    assert explained.withdraw_tampered() == [piece(job).reference]
    assert explained.withdraw_tampered() == []
    assert (piece(job).state, piece(other).state) == ("withdrawn", "active")
    assert "It lies." in piece(job).withdrawn_reason


def test_a_rerun_that_does_not_agree_withdraws_what_it_repeats(
    bank: Bank, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    enforce()
    finishing.finished(endpoint, method="lime")
    job = finishing.finished(endpoint)
    again = finishing.finish(jobs.rerun(job, by=scene.SET_UP))
    assert again.receipt["agreement"]["identical"]
    assert (piece(job).state, piece(again).state) == ("active", "active")
    monkeypatch.setattr(finishing, "VALUE", 0.2)
    third = finishing.finish(jobs.rerun(job, by=scene.SET_UP))
    assert not third.receipt["agreement"]["holds"]
    assert piece(job).state == "withdrawn"
    assert not Evidence.objects.filter(digest=third.receipt_digest).exists()
    assert (third.standing, third.receipt["faults"]) == (Standing.DRAFT, {"disagrees": 2})
    assert "XPL-001" not in failing(bank), "the first re-run agrees and speaks for itself"
    finishing.finish(jobs.rerun(again, by=scene.SET_UP))
    assert "XPL-001" in failing(bank), "none is left that no re-run contradicts"


def test_evidence_whose_explanation_has_another_receipt_by_now_is_withdrawn(bank: Bank, endpoint: Endpoint) -> None:
    job = finishing.finished(endpoint)
    zeros = f"sha256:{'0' * 64}"
    explained.put_on_record(EvidenceType.EXPLANATION, job, "of no job", receipt=zeros, ended=job.ended)
    row = Evidence.objects.get(digest=zeros)
    assert explained.withdraw_tampered() == [row.reference]


@pytest.mark.parametrize("what", ["body", "key"])
def test_rows_that_cannot_be_opened_are_a_problem_and_end_nothing_else(
    bank: Bank, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    job, other = finishing.finished(endpoint), finishing.finished(endpoint, method="lime")
    body = inputs._opened
    broken = {"body": lambda *_all: None, "key": lambda mine, each, _cipher: body(mine, each, None)}[what]
    monkeypatch.setattr(inputs, "_opened", lambda mine, *rest: (broken if mine.pk == job.pk else body)(mine, *rest))
    assert inputs.background_digest(job) != inputs.background_digest(other)
    assert explained.withdraw_tampered() == [piece(job).reference]
    assert piece(other).state == "active"


def test_no_evidence_when_the_finish_is_undone(bank: Bank, endpoint: Endpoint) -> None:
    with transaction.atomic():
        finishing.finished(endpoint)
        assert Evidence.objects.exists()
        transaction.set_rollback(True)
    assert not Evidence.objects.exists()


def test_signatures_stand_while_a_machine_measures(bank: Bank, endpoint: Endpoint) -> None:
    promotion = scene.approved(bank)
    finishing.finished(endpoint)
    promotions.refresh(promotion.pk, by=scene.actor("sami"))
    promotion.refresh_from_db()
    assert (promotion.state, promotion.round) == ("approved", 1)
    assert "evidence" not in scene.latest(promotion).subject_parts
    assert scene.latest(promotion).facts["explanations"]


def test_a_decision_replays_although_what_it_rested_on_is_gone(bank: Bank, endpoint: Endpoint) -> None:
    job = finishing.finished(endpoint, subjects={"r0": "person-7"})
    scene.approved(bank)
    answer = gate.check(bank.new, bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    erasure.erase_rows("person-7", reason="Asked to be forgotten.", by=scene.actor("omar"))
    assert piece(job).state == "withdrawn"
    assert replay.replay(answer.decision, by=scene.SET_UP).same


def test_many_deployments_read_their_explanations_together(bank: Bank, endpoint: Endpoint) -> None:
    finishing.finished(endpoint)
    for version, place in ((bank.new, bank.uae), (bank.old, bank.frankfurt)):
        scene.serve(bank, version, place)
    rows = rechecks.serving()
    shared, asked_for = rechecks.read(rows), []
    for row in rows:
        case = Case(row.version, row.environment, Action.RUN, {}, rechecks.CLOCK.id)
        alone = decisions.evaluate(case, needs_signoffs=False)
        with rechecks.sharing.using(shared), CaptureQueriesContext(connection) as queries:
            together = decisions.evaluate(case, needs_signoffs=False)
        assert {**together.facts, "now": ""} == {**alone.facts, "now": ""}
        asked_for.append(sum("explain_explanationinput" in each["sql"] for each in queries.captured_queries))
    assert asked_for == [1, 0], "the first one reads for all"


def test_workers_in_another_country_are_a_flow_that_the_residency_gate_denies(bank: Bank) -> None:
    """UAE law: rows of people in the UAE would reach a worker in Germany."""
    assert asked(bank).outcome == "pending"
    environments.change_environment(bank.uae, explanation_workers=["azure:germanywestcentral"], by=scene.SET_UP)
    bank.uae.refresh_from_db()
    blocking = [each for each in asked(bank).findings if each["severity"] == "block" and each["outcome"] == "fail"]
    assert {(each["rule"], each["facts"]["kind"], each["facts"]["region"]) for each in blocking} == {
        ("AE-RES-001", "explanation_job", "azure:germanywestcentral")
    }
    environments.change_environment(bank.uae, explanation_workers=["azure:uaenorth"], by=scene.SET_UP)
    bank.uae.refresh_from_db()
    assert asked(bank).outcome == "pending"


def test_where_nobody_said_where_the_workers_are_they_are_nowhere(bank: Bank) -> None:
    bank.uae.explanation_workers = None
    (finding,) = (each for each in asked(bank).findings if each["severity"] == "block" and each["outcome"] == "fail")
    assert (finding["facts"]["kind"], finding["facts"]["region"]) == ("explanation_job", "nowhere")


def test_a_version_that_nobody_explained_costs_no_query_more(bank: Bank, endpoint: Endpoint) -> None:
    def asks() -> int:
        with CaptureQueriesContext(connection) as queries:
            asked(bank)
        return sum("explain_explanationinput" in each["sql"] for each in queries.captured_queries)

    assert asks() == 0
    finishing.finished(endpoint)
    assert asks() == 1
