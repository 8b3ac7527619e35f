"""What a worker does with one job, from the probe to the receipt."""

from __future__ import annotations

import logging
import threading

from django.db import Error as DatabaseFault
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import Conflict, Refusal
from explain import jobs, requests
from explain.engines import Engine, Inquiry, LimeEngine, Question, ShapEngine, run
from explain.methods.codes import Column, UnusableColumn
from explain.models import ExplanationJob, Method, State
from explain.serving import probe
from explain.serving.mlflow import MlflowClient
from explain.serving.protocol import Cancelled, ServingClient, ServingError
from explain.serving.scoring import Scorer
from registry.environments import allowed_address
from registry.models import Endpoint, Protocol

logger = logging.getLogger(__name__)


def perform(job_id: int, *, by: Actor = jobs.WORKER) -> str:
    """Do the job, or the rest of it; answers the state that it ended in, or ``"ignored"``.

    A fault of the endpoint or of the rows fails the job with a sentence. A fault of the database is raised: the task is
    delivered again and goes on from the last checkpoint.
    """
    job = jobs.begin(job_id, by=by)
    if job is None:
        return "ignored"
    try:
        with _Client(job.endpoint) as client:
            _explain(job, client, by=by)
    except Cancelled:
        return State.CANCELLED
    except (ServingError, UnusableColumn, Refusal) as error:
        return _end(job, getattr(error, "sentence", str(error)), code=getattr(error, "code", "column.unusable"), by=by)
    except DatabaseFault:
        raise
    except Exception:
        logger.exception("explanation %s met an error of the program", job_id)
        return _end(job, _("The program met an error; its log names it under this job's number."), code="bug", by=by)
    return State.FINISHED


def _end(job: ExplanationJob, sentence: str, *, code: str, by: Actor) -> str:
    try:
        jobs.fail(job, sentence, code=code, discard=code == "version_changed", by=by)
    except Conflict:
        return State.CANCELLED
    return State.FAILED


class _Client:
    """The client of an endpoint, closed at the end."""

    def __init__(self, endpoint: Endpoint) -> None:
        """Raises ``BadInput`` when the address is no longer allowed."""
        if endpoint.protocol != Protocol.MLFLOW:
            raise ServingError(f"No client speaks {endpoint.protocol}.", code="endpoint.protocol")
        self._client = MlflowClient(allowed_address(endpoint.url))

    def __enter__(self) -> ServingClient:
        return self._client

    def __exit__(self, *_exc: object) -> None:
        self._client.close()


def inquiry_of(job: ExplanationJob) -> Inquiry:
    """What the job asks, as the engines read it."""
    columns = tuple(Column(each["name"], each["kind"]) for each in job.columns)

    def cells(row: list[object]) -> tuple[object, ...]:
        return tuple(requests.cell(value, column.kind) for value, column in zip(row, columns, strict=True))

    return Inquiry(
        columns=columns,
        rows=tuple(Question(row["id"], cells(row["cells"])) for row in job.rows),
        background=tuple(cells(row) for row in job.background),
        seed=job.seed,
        tol=float(job.tol),
        budget=job.budget,
    )


def _explain(job: ExplanationJob, client: ServingClient, *, by: Actor) -> None:
    if job.endpoint.version_id != job.version_id or job.version.digest != job.digest:
        raise ServingError(
            "The endpoint serves another version than the one that was asked about.", code="endpoint.serves_another"
        )
    inquiry = inquiry_of(job)
    table, output = inquiry.table, job.output["index"]
    report = probe.inspect(client, table, output=output, probability=job.output["scale"] == "probability")
    stop = threading.Event()

    def stopped() -> None:
        if stop.is_set():
            raise Cancelled

    scorer = Scorer(client, wire=report.wire, output=output, stopped=stopped)
    engine: Engine = ShapEngine(inquiry, scorer) if job.method == Method.SHAP else LimeEngine(inquiry, scorer)
    done = set(job.results.values_list("row_id", flat=True))
    waiting = [question for question in inquiry.rows if question.row_id not in done]
    for found in run(engine, waiting, poll=lambda: _runs(job), stop=stop):
        if not probe.unchanged(client, table, report, output=output):
            raise ServingError(
                "The endpoint gives other answers than when the job began: another model answers now. "
                "The results were discarded.",
                code="version_changed",
            )
        jobs.checkpoint(job, found)
    problems = list(job.results.exclude(problem="").values_list("problem", flat=True))
    if len(problems) == len(job.rows):
        raise ServingError(f"No row could be explained. {problems[0]}", code="explanation.every_row_failed")
    fatal = [finding for finding in report.findings if finding in probe.FATAL]
    jobs.finish(job, probe=report.as_json(), fatal=fatal, by=by)


def _runs(job: ExplanationJob) -> bool:
    return ExplanationJob.objects.filter(pk=job.pk, state=State.RUNNING).exists()
