"""What an erasure takes from explanations and what stays; what no longer fits after somebody changed it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from django.db import IntegrityError, transaction

from audit.models.events import Event
from audit.queries import MAX_PENDING, history
from audit.refusals import BadInput, Conflict, NotKnown
from explain import erasure, inputs, jobs, queries, receipts, staleness
from explain.digests import digest
from explain.models import ExplanationJob, ExplanationRow, State
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import Row, serving

pytestmark = pytest.mark.usefixtures("committed_db")
ANOTHER_QUESTION = "The question is not that of the receipt."
ANOTHER_RECEIPT = "The receipt is not the one whose digest was recorded when the job finished."
OTHER_ROWS = "The stored rows or the background are not those of the receipt."


def test_a_person_is_erased_from_explanations_and_receipts_still_hold(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), subjects={"r1": "customer-9", "r2": "customer-7"}))
        erased = erasure.erase_rows("customer-9", reason="Request 12", by=TRAINER)
        assert (erased.jobs, erased.rows) == (1, 1)
        assert [row.cells is None for row in inputs.rows_of(job)] == [False, True, False, False, False, False]
        gone = job.results.get(position=1)
        assert (gone.row_id, gone.phi, gone.fx, gone.erased) == ("erased-1", [], None, True)
        assert receipts.problems(queries.find(job.pk)) == []
        assert history(job.subject)[0].event == "explanation.erased"
        with pytest.raises(Conflict, match="erased"):
            jobs.rerun(queries.find(job.pk), by=TRAINER)
    with pytest.raises(NotKnown):
        erasure.erase_rows("customer-1", reason="Request 13", by=TRAINER)
    with pytest.raises(BadInput):
        erasure.erase_rows("customer-7", reason=" ", by=TRAINER)
    with pytest.raises(IntegrityError), transaction.atomic():
        ExplanationRow.objects.filter(job=job, position=2).update(phi=[], se=[], erased=True)
    with pytest.raises(IntegrityError), transaction.atomic():
        job.inputs.filter(position=2, background=False).update(body=b"other")


def test_a_person_is_erased_from_the_background_alone(perform: Perform) -> None:
    with serving() as (url, _server):
        behind = ["customer-9", *[""] * 28, "customer-7"]
        job = perform(ask(register_endpoint(url), background_subjects=behind))
        assert staleness.standing_now(job).fresh
        erased = erasure.erase_rows("customer-9", reason="Request 12", by=TRAINER)
        assert (erased.jobs, erased.rows) == (1, 1)
        facts = history(job.subject)[0].facts
        assert (facts["rows"], facts["background"], len(facts["commitments"])) == ([], [0], 1)
        job = queries.find(job.pk)
        assert [row.cells is None for row in inputs.background_of(job)] == [True, *[False] * 29]
        assert not job.results.filter(erased=True).exists()
        assert receipts.problems(job) == []
        assert "background" in staleness.standing_now(job).reasons
        with pytest.raises(Conflict, match="erased"):
            jobs.rerun(job, by=TRAINER)


def test_whom_the_background_is_about_is_said_of_every_row_or_of_none() -> None:
    endpoint = register_endpoint("http://127.0.0.1:9/")
    with pytest.raises(BadInput) as refusal:
        ask(endpoint, background_subjects=["customer-9"])
    assert "each of the 30 background rows" in refusal.value.fields["background_subjects"]


def test_erasing_a_person_takes_the_sentence_that_may_quote_them(perform: Perform) -> None:
    def quoting(_rows: list[Row], _count: int) -> Any:
        return 400, b"cannot read 918273645", {}

    with serving(quoting) as (url, _server):
        job = perform(ask(register_endpoint(url), subjects={"r1": "customer-9"}))
    assert (job.state, "918273645" in job.error) == (State.FAILED, True)
    assert not [entry for entry in history(job.subject) if "918273645" in f"{entry.reason} {entry.facts}"]
    erasure.erase_rows("customer-9", reason="Request 12", by=TRAINER)
    job.refresh_from_db()
    assert "918273645" not in job.error
    assert job.error
    with pytest.raises(IntegrityError), transaction.atomic():  # nothing else takes or changes it
        ExplanationJob.objects.filter(pk=job.pk).update(error="All is well.")


def test_rows_of_an_open_question_are_not_erased_under_it(delivered: list[int]) -> None:
    job = ask(register_endpoint("http://127.0.0.1:9/"), subjects={"r1": "customer-9"})
    with pytest.raises(Conflict, match="cancel it first"):
        erasure.erase_rows("customer-9", reason="Request 12", by=TRAINER)
    assert inputs.cells_of(job, "r1") is not None


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        ("UPDATE explain_explanationinput SET commitment = 'sha256:x' WHERE position = 0", OTHER_ROWS),
        ("UPDATE explain_explanationjob SET columns = jsonb_set(columns, '{0,name}', '\"wealth\"')", ANOTHER_QUESTION),
        ("UPDATE explain_explanationjob SET tol = 0.5", ANOTHER_QUESTION),
        ("receipt", ANOTHER_RECEIPT),
    ],
)
def test_what_an_intruder_changed_no_longer_fits(perform: Perform, committed_db: Any, forged: str, said: str) -> None:
    import psycopg

    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url)))
    assert receipts.problems(job) == []
    changed = {**job.receipt, "faults": {"none": 0}}
    with psycopg.connect(committed_db.admin_url) as intruder:
        intruder.execute("SET session_replication_role = replica")
        if forged == "receipt":  # with the digest that fits what was forged
            whole = "UPDATE explain_explanationjob SET receipt = %s, receipt_digest = %s"
            intruder.execute(whole, [json.dumps(changed), digest(changed)])
        else:
            intruder.execute(forged)  # type: ignore[arg-type]
    assert receipts.problems(ExplanationJob.objects.get(pk=job.pk)) == [said]


def test_what_the_log_cannot_tell_now_is_neither_whole_nor_changed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert receipts.recorded_digest("explanation:999", Event.EXPLANATION_FINISHED) == ""
    behind = replace(receipts.log_head(), pending=MAX_PENDING)
    monkeypatch.setattr(receipts, "log_head", lambda: behind)
    with pytest.raises(receipts.LogBehind):
        receipts.recorded_digest("explanation:999", Event.EXPLANATION_FINISHED)


def test_erasing_a_person_leaves_no_prediction_in_the_receipt(perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), count=2, background=sample(40, seed=9)))
    predictions = {row.fx for row in queries.results(job)}
    assert not predictions & {*job.receipt["probe"]["canaries"], *job.receipt["canaries_at_end"]}
    assert len(job.receipt["canaries_at_end"]) == 8


@pytest.mark.parametrize("named", [False, True])
def test_people_of_the_background_leave_no_prediction_in_the_receipt_where_others_are(
    perform: Perform, named: bool
) -> None:
    background = sample(40, seed=9)
    behind = ["customer-9", "customer-7", *[""] * 38] if named else []
    rows = {"first": background[0], "second": background[1]}  # which are canary rows, unless they are about somebody
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), rows=rows, background=background, background_subjects=behind))
    predictions = {row.fx for row in queries.results(job)}
    kept = {*job.receipt["probe"]["canaries"], *job.receipt["canaries_at_end"]}
    assert len(predictions & kept) == (0 if named else 2)
    assert len(job.receipt["canaries_at_end"]) == 8
