"""What a worker does with one job, from the probe to the receipt; several may do it together."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from django.db import DataError, IntegrityError
from django.db import Error as DatabaseFault
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.actors import Actor
from audit.refusals import Conflict, Refusal
from audit.subject_keys import KeysUnavailable
from explain import cells, inputs, jobs, preparing, queueing, regions
from explain.canaries import AnotherVersion, Canaries
from explain.chunks import Chunks, Keeper
from explain.engines import Engine, Inquiry, Question, run
from explain.isolated.run import Unloadable
from explain.methods.codes import Column, UnusableColumn
from explain.models import ExplanationJob, State
from explain.serving import probe
from explain.serving.limits import ASK, Limiter
from explain.serving.protocol import Cancelled, ServingClient, ServingError, Table, Unreachable
from explain.serving.scoring import Scorer

logger = logging.getLogger(__name__)

IGNORED = "ignored"
CHANGED = gettext_lazy(
    "The endpoint gives other answers than when the job began: another model answers now. The results were discarded."
)


def perform(job_id: int, *, others: int = 0, by: Actor = jobs.WORKER) -> str:
    """Do the job, or the part of it that ``others`` leave; answers the state that it ended in, or ``IGNORED``.

    A fault of the endpoint or of the rows ends the job with a sentence, or lets it wait. A fault of the database, or of
    that of the keys, is raised: the job is delivered again and goes on from the last checkpoint.
    """
    job = jobs.begin(job_id, alone=others == 0, by=by)
    if job is None:
        return IGNORED
    watch = _Watch(job)
    try:
        with preparing.client_of(job.endpoint, watch) as client, preparing.limits_of(job.endpoint) as limiter:
            return _perform(job, client, limiter, watch, others=others, by=by)
    except Cancelled:
        return IGNORED
    except (DataError, IntegrityError):
        # no fault that a later delivery would not meet again
        logger.exception("explanation %s has results that cannot be stored", job_id)
        return _fail(job, _("The program met an error; its log names it under this job's number."), "bug", by=by)
    except (DatabaseFault, KeysUnavailable):
        raise
    except AnotherVersion:
        return _end(State.VERSION_CHANGED, lambda: jobs.discard(job, str(CHANGED), by=by))
    except Unreachable as error:
        sentence, code = error.sentence, error.code
        if code == "endpoint.too_large":
            return _fail(job, sentence, code, by=by)
        return _end(State.WAITING, lambda: jobs.wait(job, sentence, code=code, by=by))
    except (ServingError, UnusableColumn, Unloadable, Refusal) as error:
        return _fail(job, getattr(error, "sentence", str(error)), getattr(error, "code", "column.unusable"), by=by)
    except Exception:
        logger.exception("explanation %s met an error of the program", job_id)
        return _fail(job, _("The program met an error; its log names it under this job's number."), "bug", by=by)


def _fail(job: ExplanationJob, sentence: str, code: str, *, by: Actor) -> str:
    return _end(State.FAILED, lambda: jobs.fail(job, sentence, code=code, by=by))


def _end(state: State, change: Callable[[], object]) -> str:
    try:
        change()
    except Conflict:  # a person or another worker ended it first
        return IGNORED
    return state.value


class _Watch:
    """Ends whatever a worker waits for, from the probe to the last canary row, soon after its job no longer runs."""

    def __init__(self, job: ExplanationJob) -> None:
        self._job = job
        self._thread = threading.get_ident()
        self._looked = time.monotonic()
        self.stop = threading.Event()

    def __call__(self) -> None:
        """Raises ``Cancelled``. The database is asked from the worker's own thread only: connections are of a thread,
        and its other threads end with ``stop``.
        """
        here = threading.get_ident() == self._thread
        if here and time.monotonic() - self._looked >= ASK and not self.runs():
            self.stop.set()
        if self.stop.is_set():
            raise Cancelled

    def runs(self) -> bool:
        """Whether the job still runs. One query."""
        self._looked = time.monotonic()
        return ExplanationJob.objects.filter(pk=self._job.pk, state=State.RUNNING).exists()


@dataclass(frozen=True, slots=True)
class _Questions:
    """What is asked, opened: rows that were erased meanwhile are not among them. ``canaries``: of which the canary
    rows are taken.
    """

    inquiry: Inquiry
    positions: dict[str, int]
    canaries: Table


def questions_of(job: ExplanationJob) -> _Questions:
    """The job's question as the engines read it. Raises ``ServingError`` when rows of it were erased."""
    columns = tuple(Column(each["name"], each["kind"]) for each in job.columns)
    rows, background = inputs.rows_of(job), inputs.background_of(job)
    if any(row.cells is None for row in (*rows, *background)):
        raise ServingError(_("Rows of this question were erased before it was answered."), code="explanation.erased")

    def values(row: inputs.Row) -> tuple[object, ...]:
        return tuple(cells.cell(value, column.kind) for value, column in zip(row.cells or (), columns, strict=True))

    least, most = job.settings.get("rounds") or (2, 16)
    whole = Inquiry(
        columns=columns,
        rows=tuple(Question(row.id, values(row)) for row in rows),
        background=tuple(values(row) for row in background),
        seed=job.seed,
        tol=float(job.tol),
        budget=job.budget,
        rounds=(least, most),
    )
    selected = job.plan.get("selected")
    inquiry = whole if selected is None else replace(whole, rows=tuple(whole.rows[i] for i in selected))
    # what a canary row was answered stays in the receipt: it is of a person only when every background row is
    nobody = [row.position for row in background if not row.about_somebody]
    canaries = inquiry.reference.take(nobody) if nobody else inquiry.reference
    return _Questions(inquiry, {row.id: row.position for row in rows}, canaries)


def _perform(
    job: ExplanationJob, client: ServingClient, limiter: Limiter, watch: _Watch, *, others: int, by: Actor
) -> str:
    if job.endpoint.version_id != job.version_id or job.version.digest != job.digest:
        raise ServingError(
            _("The endpoint serves another version than the one that was asked about."), code="endpoint.serves_another"
        )
    regions.refuse_elsewhere(job.endpoint)  # asked elsewhere, or before somebody said where
    if not job.plan:
        with queueing.preparing(job.pk) as mine:
            if not mine:
                return IGNORED
            first = questions_of(job)
            preparing.prepare(job, client, first.inquiry, first.canaries, limiter=limiter, stopped=watch, by=by)
    if others == 0:  # whoever begins, or takes over, asks for help; helpers ask nobody
        for _each in range(preparing.helpers(job)):
            queueing.enqueue(job.pk)
    asked = questions_of(job)
    report = job.plan["probe"]
    scorer = preparing.scorer_of(job, client, report, limiter=limiter, stopped=watch)
    asker = probe.Asker(client, job.output["index"], limiter, watch)
    canaries = Canaries(client, asker, asked.canaries, report)
    canaries.check()
    _explain(job, asked, scorer, canaries, watch)
    return _finish(job, canaries, by=by)


def _explain(job: ExplanationJob, asked: _Questions, scorer: Scorer, canaries: Canaries, watch: _Watch) -> None:
    engine: Engine = preparing.engine_of(job, asked.inquiry, scorer)
    chunks = Chunks(job, asked.inquiry.rows, job.plan["chunk"])
    keeper = Keeper(job, chunks, asked.positions, canaries)
    try:
        for done in run(engine, chunks.claim, poll=watch.runs, stop=watch.stop):
            keeper.take(done)
        keeper.flush()
    finally:
        chunks.release_all()


def _finish(job: ExplanationJob, canaries: Canaries, *, by: Actor) -> str:
    """Whoever finds every row explained ends the job; the others leave."""
    if job.results.count() < job.total:
        return IGNORED
    problems = list(job.results.exclude(problem="").values_list("problem", flat=True))
    if len(problems) == job.total:
        raise ServingError(
            _("No row could be explained. %(problem)s") % {"problem": problems[0]},
            code="explanation.every_row_failed",
        )
    answers = canaries.check()
    fatal = [finding for finding in job.plan["probe"]["findings"] if finding in probe.FATAL]
    return _end(State.FINISHED, lambda: jobs.finish(job, fatal=fatal, canaries=answers, by=by))
