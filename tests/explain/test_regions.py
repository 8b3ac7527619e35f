"""Rows of an environment come only to workers in a region that the environment names."""

from __future__ import annotations

from typing import Any

import pytest

from audit.refusals import Refused
from explain import jobs, regions
from explain.models import ExplanationJob, State
from registry.models import Endpoint, Environment
from tests.explain import finishing
from tests.explain.conftest import TRAINER, Perform, ask, register_endpoint
from tests.explain.servers import serving


def endpoint(workers: list[str] | None) -> Endpoint:
    return Endpoint(name="scoring", environment=Environment(slug="prod-uae", explanation_workers=workers))


@pytest.mark.parametrize("workers", [None, [], ["azure:uaenorth"], ["aws:eu-central-1"]])
def test_without_a_setting_nothing_is_compared(workers: list[str] | None, settings: Any) -> None:
    settings.EXPLANATION_WORKER_REGION = ""
    regions.refuse_elsewhere(endpoint(workers))


def test_workers_in_a_region_that_the_environment_names_may_explain(settings: Any) -> None:
    settings.EXPLANATION_WORKER_REGION = "azure:uaenorth"
    regions.refuse_elsewhere(endpoint(["gcp:me-central2", "azure:uaenorth"]))


@pytest.mark.parametrize(
    ("workers", "code"),
    [
        (None, "explanation.region_unsaid"),
        ([], "explanation.region_none"),
        (["aws:eu-central-1"], "explanation.region_elsewhere"),
        (["azure:uaecentral", "AZURE:UAENORTH"], "explanation.region_elsewhere"),
    ],
)
def test_workers_elsewhere_are_refused_with_a_sentence(workers: list[str] | None, code: str, settings: Any) -> None:
    settings.EXPLANATION_WORKER_REGION = "azure:uaenorth"
    with pytest.raises(Refused) as caught:
        regions.refuse_elsewhere(endpoint(workers))
    assert caught.value.code == code
    assert "environment:prod-uae" in caught.value.sentence
    assert "azure:uaenorth" in caught.value.sentence


@pytest.mark.parametrize("wrong", ["uaenorth", "azure:uaenord", "country:AE"])
def test_a_region_that_nobody_knows_explains_nothing(wrong: str, settings: Any) -> None:
    settings.EXPLANATION_WORKER_REGION = wrong
    with pytest.raises(Refused) as caught:
        regions.refuse_elsewhere(endpoint([wrong]))
    assert caught.value.code == "explanation.region_unknown"


@pytest.mark.usefixtures("committed_db")
def test_a_worker_elsewhere_sends_nothing_of_a_question_that_was_asked_before(settings: Any, perform: Perform) -> None:
    with serving() as (url, server):
        job = ask(register_endpoint(url))
        settings.EXPLANATION_WORKER_REGION = "azure:uaenorth"
        job = perform(job)
    assert (job.state, server.count) == (State.FAILED, 0)
    assert "no worker explains its models" in job.error


@pytest.mark.usefixtures("committed_db")
def test_a_question_and_a_rerun_are_refused_before_anything_is_stored(settings: Any) -> None:
    here = register_endpoint("http://127.0.0.1:9/invocations")
    done = finishing.finished(here)
    settings.EXPLANATION_WORKER_REGION = "azure:uaenorth"
    for again in (lambda: ask(here), lambda: jobs.rerun(done, by=TRAINER)):
        with pytest.raises(Refused) as caught:
            again()
        assert caught.value.code == "explanation.region_none"
    assert list(ExplanationJob.objects.values_list("pk", flat=True)) == [done.pk]
