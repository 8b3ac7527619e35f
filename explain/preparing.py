"""Before the first row: the endpoint is probed, the estimator is chosen, the sample is drawn. Once for each job."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any, cast

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.actors import Actor
from explain import artifacts, in_process, jobs
from explain.engines import Engine, Inquiry, LimeEngine, ShapEngine, background_outputs, shap_chunk
from explain.in_process import ArtifactEngine
from explain.isolated import run as isolated
from explain.methods import choice, sampling
from explain.methods.choice import Choice
from explain.models import Algorithm, ExplanationJob, Method, Scale
from explain.reference import ReplayEngine, replay_chunk
from explain.serving import probe
from explain.serving.clients import open_client
from explain.serving.limits import Limiter, Stopped, for_endpoint, go_on
from explain.serving.protocol import ServingClient, ServingError, Table, WrongAnswer
from explain.serving.scoring import FIRST_BATCH, SENDERS, Scorer
from registry.environments import allowed_address
from registry.models import Endpoint
from registry.serving import credentials

#: Estimators of shap that run unmodified by record and replay.
REPLAYED = frozenset({Algorithm.EXACT, Algorithm.PERMUTATION, Algorithm.KERNEL})
#: Estimators that open the version's files, in a process of their own.
IN_PROCESS = frozenset({Algorithm.TREE, Algorithm.LINEAR})
#: Why a wished algorithm cannot answer, by the code of ``choice.Impossible``.
IMPOSSIBLE = {
    "method.other": gettext_lazy("This algorithm does not compute this method."),
    "artifact.missing": gettext_lazy("The model's files are not at hand, so it cannot be explained in process."),
    "artifact.kind": gettext_lazy("The model's files are of another kind than the algorithm is for."),
    "artifact.scale": gettext_lazy("On this scale the model is not a sum of its trees or terms: ask for log-odds."),
    "artifact.parity_unknown": gettext_lazy("Nobody compared the model's files with what the endpoint answers."),
    "artifact.parity": gettext_lazy("The model's files answer differently from the endpoint."),
    "exact.too_many_features": gettext_lazy("All coalitions of so many features are too many."),
    "budget.too_small": gettext_lazy("The budget is too small for this algorithm: ask for fewer rows."),
}
logger = logging.getLogger(__name__)

#: Workers that share one job at most.
MOST_WORKERS = 8


@contextmanager
def client_of(endpoint: Endpoint, stopped: Stopped = go_on) -> Iterator[ServingClient]:
    """A client of the endpoint, closed at the end. ``stopped`` raises to abandon a wait for its answer.

    Raises ``BadInput`` when the address is no longer allowed, ``ServingError`` for a missing credential.
    """
    client = open_client(
        endpoint.protocol,
        allowed_address(endpoint.url),
        endpoint.options,
        credential=credentials.headers(endpoint.credential) if endpoint.credential else {},
        timeout=float(endpoint.timeout),
        stopped=stopped,
    )
    try:
        yield client
    finally:
        client.close()


@contextmanager
def limits_of(endpoint: Endpoint) -> Iterator[Limiter]:
    """The endpoint's limits over all workers, given back at the end."""
    limiter = for_endpoint(endpoint.pk, endpoint.concurrency, endpoint.rows_per_second)
    try:
        yield limiter
    finally:
        limiter.close()


def scorer_of(
    job: ExplanationJob,
    client: ServingClient,
    report: Mapping[str, Any],
    *,
    limiter: Limiter,
    stopped: Stopped = go_on,
) -> Scorer:
    """What scores rows of the job as the probe's ``report`` says: its wire format and its first batch."""
    return Scorer(
        client,
        wire=report["wire"],
        output=job.output["index"],
        stopped=stopped,
        limiter=limiter,
        scale="log_odds" if job.output["scale"] == Scale.LOG_ODDS else "raw",
        batch=report.get("first_batch", FIRST_BATCH),
    )


def prepare(
    job: ExplanationJob,
    client: ServingClient,
    inquiry: Inquiry,
    canaries: Table,
    *,
    limiter: Limiter,
    stopped: Stopped,
    by: Actor,
) -> None:
    """Probe, choose and draw; the plan is written once, with an entry. ``canaries``: where the canary rows are from.

    Raises a ``ServingError``, or what ``stopped`` raises to abandon it.
    """
    found = probe.inspect(
        client,
        inquiry.table,
        output=job.output["index"],
        probability=job.output.get("kind") == "probability",
        reference=canaries,
        limiter=limiter,
        stopped=stopped,
    )
    as_served = Scorer(client, wire=found.wire, output=job.output["index"], limiter=limiter, stopped=stopped)
    artifact = _artifact(job, inquiry, as_served)
    if artifact is not None:
        found = found.compared(artifact.difference, most=choice.LARGEST_PARITY)
    report = found.as_json() | {"first_batch": found.batch}
    chosen = choose(job, inquiry, artifact)
    selected = _selected(job, inquiry, scorer_of(job, client, report, limiter=limiter, stopped=stopped))
    plan = {
        "probe": report,
        "algorithm": chosen.algorithm,
        "because": chosen.because,
        # jsonb has no NaN: null stands for a difference to what is no number
        "artifact": None if artifact is None else asdict(artifact) | {"difference": report["parity"]},
        "selected": selected,
        "chunk": _chunk(job, inquiry, chosen.algorithm),
    }
    jobs.prepared(job, plan, by=by)


def _artifact(job: ExplanationJob, inquiry: Inquiry, scorer: Scorer) -> in_process.Parity | None:
    """How far the version's files answer as the endpoint does; None when they are not at hand or of no use.

    On the scale of probabilities only a forest is a sum of its trees, and a process takes seconds: it is then opened
    only when somebody asks for it. Raises ``ServingError`` when somebody did and it cannot be.
    """
    wanted = job.settings.get("algorithm", Algorithm.AUTO)
    asked = wanted in IN_PROCESS
    if not asked and (wanted != Algorithm.AUTO or job.method != Method.SHAP or job.output["scale"] == "probability"):
        return None
    path = artifacts.path_of(job.version)
    if path is None:
        return None
    try:
        served = background_outputs(scorer, inquiry.reference)
        return in_process.parity(path, inquiry, served, output=job.output["index"], stopped=scorer.stopped)
    except isolated.Unloadable as error:
        if asked:
            raise ServingError(error.sentence, code=error.code) from error
        logger.info("the files of %s cannot be used: %s", job.version.subject, error.sentence)
        return None


def choose(job: ExplanationJob, inquiry: Inquiry, artifact: in_process.Parity | None) -> Choice:
    """The estimator, by the rules of ``methods.choice``. Raises ``ServingError`` for a wish that cannot be met."""
    try:
        return choice.choose(
            method=cast(choice.Method, job.method),
            features=len(inquiry.columns),
            background=len(inquiry.background),
            scale=job.output["scale"],
            artifact=None if artifact is None else artifact.kind,
            artifact_scale=None if artifact is None else _scale(artifact),
            parity=None if artifact is None else artifact.difference,
            budget_per_row=_share(job, inquiry),
            wanted=job.settings.get("algorithm", Algorithm.AUTO),
            rounds=inquiry.rounds[1],
        )
    except choice.Impossible as error:
        raise ServingError(str(IMPOSSIBLE.get(error.code, error.code)), code=error.code) from error


def _scale(artifact: in_process.Parity) -> choice.Scale | None:
    return cast(choice.Scale, artifact.scale) if artifact.scale in ("raw", "probability", "log_odds") else None


def _share(job: ExplanationJob, inquiry: Inquiry) -> int:
    """Model rows for each row that gets a result: before a sample is drawn, more are asked about than explained."""
    return inquiry.budget // (job.settings.get("sample") or len(inquiry.rows))


def _chunk(job: ExplanationJob, inquiry: Inquiry, algorithm: str) -> int:
    """Rows in a chunk: it depends on the question alone, so that a resumed job has the same ones."""
    size = {"features": len(inquiry.columns), "background": len(inquiry.background)}
    if algorithm == Algorithm.PAIR_PERM:
        return shap_chunk(**size, least=inquiry.rounds[0])
    if algorithm in REPLAYED:
        return replay_chunk(cast(Any, algorithm), **size, budget_per_row=_share(job, inquiry))
    return in_process.CHUNK if algorithm in IN_PROCESS else 1


def _selected(job: ExplanationJob, inquiry: Inquiry, scorer: Scorer) -> list[int] | None:
    """Positions of the sample of a global explanation, stratified by prediction; None when every row is explained."""
    size = job.settings.get("sample")
    if size is None:
        return None
    if job.repeats is not None and job.repeats.plan.get("selected") is not None:
        kept: list[int] = job.repeats.plan["selected"]  # another seed is to explain the same rows
        return kept
    rows = Table(inquiry.columns, [column[: len(inquiry.rows)] for column in inquiry.table.cells])
    scored = scorer.score(rows)
    if scored.problems:
        index, sentence = min(scored.problems.items())
        raise WrongAnswer(
            _("Row “%(id)s” gets no prediction, so no sample can be drawn. %(sentence)s")
            % {"id": inquiry.rows[index].row_id, "sentence": sentence},
            code="sample.unusable",
        )
    cells = [row.cells for row in inquiry.rows]
    return sorted(sampling.stratified(cells, scored.outputs.tolist(), size=size, seed=job.seed).positions)


def engine_of(job: ExplanationJob, inquiry: Inquiry, scorer: Scorer) -> Engine:
    """The engine of the estimator that was chosen. Raises a ``ServingError`` when the background cannot be scored."""
    if job.algorithm == Algorithm.LIME:
        return LimeEngine(inquiry, scorer)
    if job.algorithm in REPLAYED:
        return ReplayEngine(inquiry, scorer, cast(Any, job.algorithm))
    if job.algorithm in IN_PROCESS:
        path = artifacts.path_of(job.version)
        if path is None:
            raise ServingError(str(IMPOSSIBLE["artifact.missing"]), code="artifact.missing")
        kind, output = cast(Any, job.algorithm), job.output["index"]
        return ArtifactEngine(inquiry, scorer, kind, path, output=output, fallback=ShapEngine)
    return ShapEngine(inquiry, scorer)


def helpers(job: ExplanationJob) -> int:
    """How many more workers may help: as many as the endpoint takes requests for, and there are chunks."""
    chunks = -(-job.total // int(job.plan["chunk"]))
    wanted = -(-int(job.endpoint.concurrency) // SENDERS)
    return max(0, min(chunks, wanted, MOST_WORKERS) - 1)
