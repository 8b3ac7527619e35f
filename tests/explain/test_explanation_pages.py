"""Pages of explanations: filters, the estimate, what may be done with a job, comparison and erasure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from explain import jobs, queries
from explain.models import ExplanationInput, ExplanationJob, State
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint, sample
from tests.explain.servers import serving

ClientFor = Callable[[str], Client]
pytestmark = pytest.mark.usefixtures("committed_db")
NOWHERE = "http://127.0.0.1:9/"


def page(client: Client, address: str) -> str:
    answer = client.get(address)
    assert answer.status_code == 200, answer.content.decode()[:2000]
    return answer.content.decode()


def change(client: Client, job: ExplanationJob, name: str, **words: str) -> str:
    return client.post(reverse(f"explain:{name}", args=[job.pk]), words, follow=True).content.decode()


def queries_of(client: Client, address: str) -> int:
    page(client, address)
    with CaptureQueriesContext(connection) as found:
        page(client, address)
    return len(found)


def test_the_address_is_the_state_of_the_list(client_for: ClientFor) -> None:
    endpoint = register_endpoint(NOWHERE)
    kept, other = ask(endpoint), ask(endpoint, method="lime")
    client, address = client_for("noor"), reverse("explain:explanations")
    found = page(client, f"{address}?model=scoring&method=shap&state=queued&endpoint=scoring")
    assert kept.get_absolute_url() in found
    assert other.get_absolute_url() not in found
    assert "1 matches" in found
    assert "Nothing matches" in page(client, f"{address}?standing=evidence")


@pytest.mark.parametrize(
    "asked", ["model=none", "state=lost", "endpoint=none", "version=version:none/1", "method=magic"]
)
def test_a_filter_that_is_not_understood_is_refused_instead_of_finding_nothing(
    asked: str, client_for: ClientFor
) -> None:
    answer = client_for("noor").get(f"{reverse('explain:explanations')}?{asked}")
    assert answer.status_code == 400
    assert "nothing was searched" in answer.content.decode()


def test_a_page_costs_the_same_queries_for_few_rows_and_for_many(client_for: ClientFor, perform: Perform) -> None:
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        few, many = perform(ask(endpoint, count=3)), perform(ask(endpoint, count=40))
    client = client_for("yusuf")
    address = reverse("explain:compare")
    assert queries_of(client, few.get_absolute_url()) == queries_of(client, many.get_absolute_url()) <= 30
    compared = [f"{address}?champion={job.pk}&challenger={job.pk}" for job in (few, many)]
    assert queries_of(client, compared[0]) == queries_of(client, compared[1]) <= 25


def test_a_job_is_paused_resumed_and_cancelled_with_its_reason(client_for: ClientFor, delivered: list[int]) -> None:
    job = ask(register_endpoint(NOWHERE))
    client = client_for("yusuf")
    assert "nobody asks the model until somebody resumes it" in change(client, job, "pause", reason="Peak hours.")
    assert "Resume" in page(client, job.get_absolute_url())
    assert "Waiting for a worker" in change(client, job, "resume")
    assert delivered == [job.pk, job.pk]
    text = change(client, job, "cancel", reason="Asked about the wrong rows.")
    assert "Cancelled before it was finished" in text
    assert "Asked about the wrong rows." in text, "the history says who, when and why"
    again = change(client, job, "pause")
    job.refresh_from_db()
    assert job.state == State.CANCELLED
    assert "message-warning" in again


@pytest.mark.parametrize("name", ["cancel", "pause", "resume", "rerun"])
def test_who_may_only_read_changes_nothing(name: str, client_for: ClientFor) -> None:
    job = ask(register_endpoint(NOWHERE))
    auditor = client_for("noor")
    assert auditor.post(reverse(f"explain:{name}", args=[job.pk])).status_code == 403
    assert "Only those who may request explanations" in page(auditor, job.get_absolute_url())
    assert queries.find(job.pk).state == State.QUEUED


def test_a_job_that_waits_says_what_it_heard_and_when_it_asks_again(client_for: ClientFor) -> None:
    job = ask(register_endpoint(NOWHERE))
    jobs.begin(job.pk, alone=True, by=TRAINER)
    waiting = jobs.wait(queries.find(job.pk), "Nobody listens at the address.", code="endpoint.unreachable", by=TRAINER)
    text = page(client_for("yusuf"), job.get_absolute_url())
    assert "The endpoint does not answer" in text
    assert "Nobody listens at the address." in text
    assert waiting.retry_at is not None
    assert f"{waiting.retry_at:%Y-%m-%d %H:%M:%S} UTC" in text


def test_another_version_in_the_middle_is_told_in_words(client_for: ClientFor) -> None:
    job = ask(register_endpoint(NOWHERE))
    jobs.begin(job.pk, alone=True, by=TRAINER)
    jobs.discard(queries.find(job.pk), "The canary rows get other answers.", by=TRAINER)
    text = page(client_for("yusuf"), job.get_absolute_url())
    assert "nothing of its results is kept" in text
    assert "nobody could say which model it was about" in text


def test_a_job_that_is_run_again_shows_whether_both_agree(client_for: ClientFor, perform: Perform) -> None:
    client = client_for("yusuf")
    with serving() as (url, _server):
        first = perform(ask(register_endpoint(url)))
        change(client, first, "rerun")
        again = perform(ExplanationJob.objects.latest("id"))
        assert again.repeats_id == first.pk
        change(client, first, "rerun", seed="11")
        other = perform(ExplanationJob.objects.latest("id"))
    assert "the same to the last bit" in page(client, again.get_absolute_url())
    assert other.seed == 11
    assert f"Run again as explanation {again.pk}" in page(client, first.get_absolute_url())
    assert client.post(reverse("explain:rerun", args=[first.pk]), {"seed": "x"}).status_code == 400


def test_groups_are_one_feature_until_they_are_unfolded(client_for: ClientFor, perform: Perform) -> None:
    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), groups={"Person": ["age", "sector"]}))
    client = client_for("yusuf")
    folded = page(client, job.get_absolute_url())
    assert "Largest mean contributions: " in folded
    assert "Person" in folded.split('data-figure="figure-bars"')[1].split("</div>")[0]
    unfolded = page(client, f"{job.get_absolute_url()}?columns=all")
    assert "Person" not in unfolded.split('data-figure="figure-bars"')[1].split("</div>")[0]
    assert client.get(f"{job.get_absolute_url()}?feature=Person").status_code == 404


def test_two_explanations_of_the_same_rows_are_compared_and_others_refused(
    client_for: ClientFor, perform: Perform
) -> None:
    with serving() as (url, _server):
        endpoint = register_endpoint(url)
        one, two, other = (perform(ask(endpoint, **words)) for words in ({}, {}, {"seed": 8}))
    client, address = client_for("noor"), reverse("explain:compare")
    text = page(client, f"{address}?champion={one.pk}&challenger={two.pk}")
    assert "The first reason is the same in all 6 rows." in text
    assert "Mean contributions change: " in text
    refused = client.get(f"{address}?champion={one.pk}&challenger={other.pk}")
    assert refused.status_code >= 400
    assert "the seed" in refused.content.decode()
    assert client.get(f"{address}?champion=x").status_code == 400
    assert client.get(f"{address}?champion={one.pk}&challenger=99999").status_code == 404


def form_of(endpoint: Any, **changes: str) -> dict[str, str]:
    header = "income,age,sector,customer\n"
    lines = [f"{row['income']},{row['age']},{row['sector']},c-{i}" for i, row in enumerate(sample(12))]
    text = header + "\n".join(lines)
    return {"endpoint": str(endpoint.pk), "method": "shap", "rows": text, "background": text} | changes


def test_the_column_that_names_the_person_is_sealed_and_lets_them_be_erased(client_for: ClientFor) -> None:
    endpoint = register_endpoint(NOWHERE)
    client, address = client_for("yusuf"), reverse("explain:request")
    form = form_of(endpoint, subject_column="customer", groups="Person: age, sector")
    estimate = client.post(address, form)
    assert estimate.status_code == 200, estimate.content.decode()
    assert not ExplanationJob.objects.exists()
    client.post(address, form | {"step": "request", "estimated": estimate.context["question"]})
    job = ExplanationJob.objects.get()
    assert job.names == ["income", "age", "sector"]
    assert job.settings["groups"] == {"Person": ["age", "sector"]}
    jobs.cancel(job, by=TRAINER)
    erased = {"subject": "c-3", "reason": "Asked by the person.", "sure": "on"}
    assert client.post(reverse("explain:erase"), erased).status_code == 403
    officer = client_for("dana")
    assert officer.post(reverse("explain:erase"), erased | {"sure": ""}).status_code == 422
    assert officer.post(reverse("explain:erase"), erased | {"subject": "c-99"}).status_code == 404
    assert "Erased: 2 rows" in officer.post(reverse("explain:erase"), erased, follow=True).content.decode()
    gone = ExplanationInput.objects.filter(job=job, body=None).values_list("background", "position")
    assert sorted(gone) == [(False, 3), (True, 3)]  # she was in the background, too


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"groups": "Person age"}, "Line 1: write a name, a colon"),
        ({"groups": "P: age\nP: sector"}, "occurs twice"),
        ({"groups": "P: nothing"}, "no column"),
        ({"subject_column": "nobody"}, "has no “nobody”"),
        ({"sample": "5"}, "sample"),
        ({"budget": "10"}, "1000"),
        ({"level": "perfect"}, "perfect"),
        ({"rows": "[1]"}, "not an object"),
        ({"rows": ""}, "There are no rows"),
        ({"endpoint": "99999"}, "endpoint"),
    ],
)
def test_what_is_wrong_with_a_question_is_said_and_nothing_is_asked(
    changes: dict[str, str], said: str, client_for: ClientFor
) -> None:
    form = form_of(register_endpoint(NOWHERE)) | {"subject_column": "customer"} | changes
    answer = client_for("yusuf").post(reverse("explain:request"), form | {"step": "request", "estimated": "x"})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not ExplanationJob.objects.exists()


def test_an_explanation_with_an_erased_row_still_shows_the_others(client_for: ClientFor, perform: Perform) -> None:
    from explain import erasure

    with serving() as (url, _server):
        job = perform(ask(register_endpoint(url), subjects={"r2": "c-7"}))
    erasure.erase_rows("c-7", reason="Asked by the person.", by=TRAINER)
    client = client_for("yusuf")
    text = page(client, job.get_absolute_url())
    assert "1 row was erased." in text
    assert "Contributions over 5 rows" in text
    assert "What is stored is not what was recorded" not in text
    gone = page(client, f"{job.get_absolute_url()}?row=erased-2")
    assert "This row was erased" in gone


@pytest.mark.parametrize("person", ["007", " C-17 "])
def test_the_person_is_found_again_as_the_file_named_them(client_for: ClientFor, person: str) -> None:
    endpoint = register_endpoint(NOWHERE)
    lines = [f"{row['income']},{row['age']},{row['sector']},{person}" for row in sample(12)]
    text = "\n".join(["income,age,sector,customer", *lines])
    form = {"endpoint": str(endpoint.pk), "method": "shap", "rows": text, "background": text}
    form |= {"subject_column": "customer"}
    client, address = client_for("yusuf"), reverse("explain:request")
    estimate = client.post(address, form)
    client.post(address, form | {"step": "request", "estimated": estimate.context["question"]})
    jobs.cancel(ExplanationJob.objects.get(), by=TRAINER)
    erased = {"subject": person, "reason": "Asked by the person.", "sure": "on"}
    page_text = client_for("dana").post(reverse("explain:erase"), erased, follow=True).content.decode()
    assert "Erased: 24 rows." in page_text


@pytest.mark.parametrize("rows", ["[" * 100_000, '[{"income": 1, "age": 2, "sector": "\\ud800"}]'])
def test_what_no_program_can_store_is_said_and_no_fault(client_for: ClientFor, rows: str) -> None:
    answer = client_for("yusuf").post(reverse("explain:request"), form_of(register_endpoint(NOWHERE), rows=rows))
    assert answer.status_code == 422
