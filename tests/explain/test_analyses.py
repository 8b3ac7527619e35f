"""Fairness, drift and comparison as stored analyses, from the request to the receipt."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from django.db import IntegrityError, connection, transaction

from audit import subject_keys
from audit.exports.sources import Wanted
from audit.models.events import Event
from audit.queries import history
from audit.refusals import BadInput, Conflict
from explain import analyses, analysing, signals, tasks
from explain.digests import digest
from explain.documents import documents
from explain.methods import fairness
from explain.methods.quality import RowResult
from explain.models import Analysis, AnalysisState, ExplanationJob, Standing
from registry import environments
from tests.explain.conftest import TRAINER, ask, register_endpoint, sample
from tests.explain.finished import finished, result

pytestmark = pytest.mark.usefixtures("committed_db")
COUNT = 70
GROUPS = {f"r{i}": "hillside" if i % 2 else "south" for i in range(COUNT)}
LABELS = {f"r{i}": i % 3 % 2 for i in range(COUNT)}


@pytest.fixture(autouse=True)
def announced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Analyses that workers were told of."""
    sent: list[int] = []
    monkeypatch.setattr(analyses.queueing, "enqueue_analysis", lambda number, **_how: sent.append(number))
    monkeypatch.setattr(fairness, "RESAMPLES", 10)
    return sent


@pytest.fixture
def endpoint() -> Any:
    return register_endpoint("http://127.0.0.1:9")


def explained(endpoint: Any, *, count: int = COUNT, shift: float = 0.0, seed: int = 1, **asked: Any) -> ExplanationJob:
    phi = np.random.default_rng(seed).normal([0.3 + shift, 0.1, 0.0], 0.1, size=(count, 3))
    return finished(endpoint, {f"r{i}": each.tolist() for i, each in enumerate(phi)}, **asked)


def of_fairness(job: ExplanationJob, **changes: Any) -> Analysis:
    asked: dict[str, Any] = {"threshold": 0.6, "groups": GROUPS, "labels": LABELS, "attribute": "region", **changes}
    return analyses.request("fairness", job, by=TRAINER, **asked)


def done(analysis: Analysis) -> Analysis:
    tasks.run_analysis(analysis.pk)
    return analyses.find(analysis.pk)


def test_fairness_is_measured_stored_and_in_the_log(endpoint: Any, announced: list[int]) -> None:
    asked = of_fairness(explained(endpoint))
    assert announced == [asked.pk]
    found = done(asked)
    assert (found.state, found.standing, found.error) == (AnalysisState.FINISHED, Standing.EVIDENCE, "")
    assert [(group["name"], group["n"]) for group in found.result["groups"]] == [("hillside", 35), ("south", 35)]
    assert found.result["parity"]["metric"] == "selection_rate"
    assert {each["feature"] for each in found.result["contributions"]} == {"income", "age", "sector"}
    events = [entry.event for entry in history(found.subject)]
    assert events == [Event.ANALYSIS_FINISHED, Event.ANALYSIS_STARTED, Event.ANALYSIS_REQUESTED]
    assert history(found.subject)[0].facts["receipt"] == found.receipt_digest
    assert found.receipt["about"][0]["receipt"] == found.first.receipt_digest
    assert analyses.problems(found) == []
    assert tasks.run_analysis(found.pk) == "ignored"
    found.receipt = {**found.receipt, "faults": ["none"]}
    found.receipt_digest = digest(found.receipt)  # as who can write the table would make it
    assert analyses.problems(found) == [
        "The receipt is not the one whose digest was recorded when the analysis finished."
    ]


def test_an_export_of_the_log_takes_the_receipt_along(endpoint: Any) -> None:
    found = done(of_fairness(explained(endpoint)))
    for wanted in (Wanted(None), Wanted(frozenset({found.object_key}))):
        receipts = {each.path for each in documents(wanted) if each.kind == "analyses"}
        assert receipts == {f"documents/analyses/{found.receipt_digest.replace(':', '-')}.json"}
    assert list(documents(Wanted(frozenset({"explain_analysis/0"})))) == []


def test_who_is_in_which_group_is_sealed_and_destroyed_when_it_ends(endpoint: Any) -> None:
    asked = of_fairness(explained(endpoint))
    assert asked.key_id is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT row_to_json(a)::text FROM explain_analysis a")
        (stored,) = cursor.fetchone()
        cursor.execute("SELECT string_agg(convert_from(entry, 'UTF8'), '') FROM audit.entry")
        (logged,) = cursor.fetchone()
    assert "hillside" not in stored
    assert "hillside" not in logged
    assert bytes(asked.sealed or b"").find(b"hillside") == -1
    key = asked.key_id
    assert analyses.people(asked).groups == GROUPS
    found = done(asked)
    assert (found.sealed, found.key_id) == (None, None)
    subject_keys.forget()
    assert subject_keys.ciphers([key]) == {key: None}


def test_a_column_of_the_rows_can_say_the_group(endpoint: Any) -> None:
    found = done(of_fairness(explained(endpoint, count=200), groups=None, labels=None, column="sector"))
    assert found.state == AnalysisState.FINISHED, found.error
    names = {group["name"] for group in found.result["groups"]}
    assert names == {row["sector"] for row in sample(200)}
    assert found.parameters["attribute"] == "region"
    assert found.result["odds"] is None


def test_too_few_to_say_fails_with_the_sizes(endpoint: Any) -> None:
    found = done(of_fairness(explained(endpoint), groups={**dict.fromkeys(GROUPS, "most"), "r0": "one"}))
    assert found.state == AnalysisState.FAILED
    assert "most: 69, one: 1" in found.error
    assert history(found.subject)[0].facts["code"] == "fairness.too_few"
    assert (found.sealed, found.key_id) == (None, None)


def test_drift_names_what_moved_and_with_what_size(endpoint: Any) -> None:
    rows = {f"r{i}": {**row, "income": row["income"] + 40} for i, row in enumerate(sample(COUNT, seed=6))}
    one, two = explained(endpoint), explained(endpoint, shift=0.4, seed=2, rows=rows)
    found = done(analyses.request("drift", one, two, by=TRAINER))
    assert found.state == AnalysisState.FINISHED, found.error
    drifted = {"inputs": ["income"], "predictions": ["prediction"], "contributions": ["income"]}
    assert found.result["drifted"] == drifted
    assert found.result["apart"]["low"] > 0.6
    assert found.standing == Standing.EVIDENCE
    json.dumps(found.result, allow_nan=False)


@pytest.mark.parametrize(
    ("asked", "words"),
    [({"background": sample(31, seed=9)}, "the background"), ({"scale": "log_odds"}, "the scale")],
)
def test_drift_between_different_questions_is_refused_by_name(endpoint: Any, asked: Any, words: str) -> None:
    found = done(analyses.request("drift", explained(endpoint), explained(endpoint, **asked), by=TRAINER))
    assert found.state == AnalysisState.FAILED
    assert words in found.error


def test_drift_of_a_sample_that_is_too_small_is_not_measured(endpoint: Any) -> None:
    found = done(analyses.request("drift", explained(endpoint), explained(endpoint, count=29), by=TRAINER))
    assert (found.state, "70 and 29" in found.error) == (AnalysisState.FAILED, True)


def test_a_comparison_keeps_no_single_row(endpoint: Any) -> None:
    other = register_endpoint("http://127.0.0.1:9", name="challenger", digest="b")
    found = done(analyses.request("comparison", explained(endpoint), explained(other, seed=3), by=TRAINER))
    assert found.state == AnalysisState.FINISHED, found.error
    assert found.result["rows"] == COUNT
    assert "r1" not in json.dumps(found.result)
    assert found.result["features"][0]["low"] is not None


def test_what_rests_on_a_draft_is_a_draft(endpoint: Any) -> None:
    phi = [0.3, 0.1, 0.0]
    results: dict[str, Any] = {f"r{i}": result(f"r{i}", phi) for i in range(COUNT)}
    found = done(of_fairness(finished(endpoint, {**results, "r0": result("r0", phi, converged=False)})))
    assert (found.standing, found.receipt["faults"]) == (Standing.DRAFT, ["input_is_draft"])
    failed = done(of_fairness(finished(endpoint, {**results, "r0": RowResult("r0", problem="poison")})))
    assert failed.receipt["faults"] == ["input_is_draft", "rows_left_out"]
    assert failed.result["left_out"] == 1


def test_a_result_that_was_changed_underneath_is_no_evidence(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job = explained(endpoint)
    monkeypatch.setattr(analyses.receipts, "problems", lambda job: ["changed"])
    assert done(of_fairness(job)).receipt["faults"] == ["receipt_mismatch"]


def test_it_is_stale_as_soon_as_one_of_its_explanations_is(endpoint: Any) -> None:
    job = explained(endpoint)
    found = done(of_fairness(job))
    assert analyses.freshness(found).fresh
    environments.change_endpoint(endpoint, url="http://127.0.0.1:10", by=TRAINER)
    again = analyses.find(found.pk)
    assert analyses.freshness(again).reasons == ("config",)
    assert done(of_fairness(job)).receipt["faults"] == ["input_is_stale"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"threshold": None}, "threshold"),
        ({"threshold": float("nan")}, "threshold"),
        ({"threshold": True}, "threshold"),
        ({"favourable": "sideways"}, "favourable"),
        ({"groups": None}, "groups"),
        ({"column": "sector"}, "groups"),
        ({"groups": None, "column": "moon"}, "column"),
        ({"groups": {**GROUPS, "r999": "hillside"}}, "groups"),
        ({"groups": {"r0": "hillside"}}, "groups"),
        ({"groups": {**GROUPS, "r1": ""}}, "groups"),
        ({"groups": {**GROUPS, "r1": True}}, "groups"),
        ({"groups": ["hillside"]}, "groups"),
        ({"labels": {**LABELS, "r1": 2}}, "labels"),
        ({"labels": {**LABELS, "r1": 0.5}}, "labels"),
        ({"labels": {"r0": 1}}, "labels"),
        ({"seed": -1}, "seed"),
        ({"seed": "1"}, "seed"),
    ],
)
def test_a_question_that_cannot_be_answered_names_the_field(endpoint: Any, changes: Any, field: str) -> None:
    with pytest.raises(BadInput) as caught:
        of_fairness(explained(endpoint), **changes)
    assert list(caught.value.fields) == [field]
    assert not Analysis.objects.exists()


def test_one_or_two_explanations_as_the_kind_needs(endpoint: Any) -> None:
    one, two = explained(endpoint, count=2), ask(endpoint, count=2)
    wrong = (("magic", one, None), ("drift", one, None), ("fairness", one, one), ("drift", one, one))
    for kind, first, second in wrong:
        with pytest.raises(BadInput):
            analyses.request(kind, first, second, by=TRAINER)
    with pytest.raises(Conflict):
        analyses.request("drift", one, two, by=TRAINER)


def test_a_killed_worker_leaves_an_analysis_that_another_one_ends(endpoint: Any) -> None:
    asked = of_fairness(explained(endpoint))
    begun = analyses.begin(asked.pk)
    assert begun is not None
    assert begun.state == AnalysisState.RUNNING
    assert done(asked).state == AnalysisState.FINISHED


def test_an_error_of_the_program_ends_it_with_a_sentence(endpoint: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_given: Any, **_named: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(analysing.fairness, "measure", broken)
    found = done(of_fairness(explained(endpoint)))
    assert (found.state, "program" in found.error) == (AnalysisState.FAILED, True)


def test_a_number_that_json_has_not_ends_it_and_is_not_tried_for_ever(
    endpoint: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(analysing._MEASURES, "fairness", lambda analysis: {"value": float("nan")})
    assert done(of_fairness(explained(endpoint))).state == AnalysisState.FAILED


def test_whoever_listens_hears_of_the_end_in_the_same_transaction(endpoint: Any) -> None:
    def refuse(**_signal: Any) -> None:
        raise Conflict("no", code="no")

    asked = of_fairness(explained(endpoint))
    key = asked.key_id
    assert key is not None
    signals.analysis_finished.connect(refuse)
    try:
        assert done(asked).state == AnalysisState.FAILED
    finally:
        signals.analysis_finished.disconnect(refuse)
    subject_keys.forget()
    assert subject_keys.ciphers([key]) == {key: None}


@pytest.mark.parametrize(
    "change", ["parameters = '{}'", "result = '{}'", "state = 'queued'", "first_id = first_id + 1", "standing = ''"]
)
def test_the_database_refuses_to_change_what_was_asked_or_found(endpoint: Any, change: str) -> None:
    found = done(of_fairness(explained(endpoint)))
    with pytest.raises(IntegrityError), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE explain_analysis SET {change} WHERE id = %s", [found.pk])
