"""Whether an explanation still speaks about what is there: by digest, by background, by the way it was asked."""

from __future__ import annotations

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import log
from audit.models.events import Event
from explain import queries, staleness, standing
from explain.models import ExplanationJob
from registry import environments
from tests.explain import finishing
from tests.explain.conftest import TRAINER, register_endpoint

pytestmark = pytest.mark.usefixtures("committed_db")


@pytest.fixture
def finished() -> ExplanationJob:
    return finishing.finished(register_endpoint("http://127.0.0.1:9/invocations"))


def now(job: ExplanationJob) -> staleness.Freshness:
    return staleness.standing_now(queries.find(job.pk))


def test_what_nobody_touched_is_fresh_and_costs_one_query(finished: ExplanationJob) -> None:
    job = queries.find(finished.pk)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        found = staleness.standing_now(job)
    assert (found.state, found.reasons, found.fresh, found.sentences) == ("fresh", (), True, [])
    assert len(asked) == 1


def test_a_list_with_backgrounds_asks_nothing_more(finished: ExplanationJob) -> None:
    (job,) = staleness.with_backgrounds(ExplanationJob.objects.select_related("version", "endpoint"))
    with CaptureQueriesContext(connection) as asked:
        assert staleness.standing_now(job).fresh
    assert len(asked) == 0


def test_other_files_make_it_stale_by_the_model(finished: ExplanationJob) -> None:
    job = queries.find(finished.pk)
    job.version.digest = "sha256:" + "b" * 64
    assert staleness.standing_now(job).reasons == ("model",)
    job.version.digest = job.digest = ""
    assert staleness.standing_now(job).reasons == ("model",), "of files that nobody knows nothing is shown"


@pytest.mark.parametrize(
    "change", [{"url": "http://127.0.0.1:10/invocations"}, {"output": {"kind": "probability", "of_class": "0"}}]
)
def test_another_way_to_ask_makes_it_stale_by_the_configuration(
    finished: ExplanationJob, change: dict[str, object]
) -> None:
    environments.change_endpoint(finished.endpoint, **change, by=TRAINER)
    found = now(finished)
    assert found.reasons == ("config",)
    assert "asked in another way" in found.sentences[0]


@transaction.atomic
def erase(job: ExplanationJob, *, background: bool) -> None:
    """Erase the first row of the question, as an erasure does: with an entry."""
    row = job.inputs.filter(background=background).first()
    assert row is not None
    row.body, row.row_id = None, "" if background else f"erased-{row.position}"
    row.save()
    log.append(Event.EXPLANATION_ERASED, job, facts={}, by=TRAINER)


def test_an_erased_background_makes_it_stale(finished: ExplanationJob) -> None:
    erase(finished, background=True)
    assert now(finished).reasons == ("background",)
    (listed,) = staleness.with_backgrounds(ExplanationJob.objects.select_related("version", "endpoint"))
    assert staleness.standing_now(listed).reasons == ("background",)
    (at_the_gate,) = standing.newest([finished.version_id])
    assert (at_the_gate.stale, at_the_gate.erased) == (("background",), True)


def test_an_erased_explained_row_leaves_the_others_fresh(finished: ExplanationJob) -> None:
    erase(finished, background=False)
    assert now(finished).fresh
    (at_the_gate,) = standing.newest([finished.version_id])
    assert (at_the_gate.stale, at_the_gate.erased) == ((), True)


def test_what_an_older_receipt_does_not_say_is_not_compared() -> None:
    given = {"digest": "d", "digest_now": "d", "background_lost": False}
    here = {"subject": "endpoint:a", "url": "u", "protocol": "mlflow", "options": {"a": 1}}
    assert staleness.why_stale(**given, asked={"subject": "endpoint:a", "url": "u"}, asked_now=here) == ()
    assert staleness.why_stale(**given, asked={"url": "v"}, asked_now=here) == ("config",)
