"""Before the first row: the endpoint is probed, the estimator is chosen, the sample is drawn. Once for each job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.utils.translation import gettext as _

from audit.actors import Actor
from explain import jobs
from explain.engines import CHUNK_ROWS, IN_FLIGHT, Engine, Inquiry, LimeEngine, ShapEngine, shap_chunk
from explain.methods import sampling
from explain.models import Algorithm, ExplanationJob, Method
from explain.serving import probe
from explain.serving.clients import open_client
from explain.serving.protocol import ServingClient, Table, WrongAnswer
from explain.serving.scoring import Scorer
from registry.environments import allowed_address
from registry.models import Endpoint
from registry.serving import credentials

#: Workers that share one job at most.
MOST_WORKERS = 8


@contextmanager
def client_of(endpoint: Endpoint) -> Iterator[ServingClient]:
    """A client of the endpoint, closed at the end.

    Raises ``BadInput`` when the address is no longer allowed, ``ServingError`` for a missing credential.
    """
    client = open_client(
        endpoint.protocol,
        allowed_address(endpoint.url),
        endpoint.options,
        credential=credentials.headers(endpoint.credential) if endpoint.credential else {},
        timeout=float(endpoint.timeout),
    )
    try:
        yield client
    finally:
        client.close()


def scorer_of(
    job: ExplanationJob, client: ServingClient, *, wire: str | None = None, stopped: Callable[[], None] = lambda: None
) -> Scorer:
    """What scores rows of the job in the wire format that the probe chose."""
    return Scorer(client, wire=wire or job.plan["probe"]["wire"], output=job.output["index"], stopped=stopped)


def prepare(job: ExplanationJob, client: ServingClient, inquiry: Inquiry, *, by: Actor) -> None:
    """Probe, choose and draw; the plan is written once, with an entry. Raises a ``ServingError``."""
    table, output = inquiry.table, job.output["index"]
    report = probe.inspect(client, table, output=output, probability=job.output.get("kind") == "probability")
    found = report.as_json()
    algorithm, because = choose(job, inquiry)
    selected = _selected(job, inquiry, scorer_of(job, client, wire=report.wire))
    plan = {
        "probe": found,
        "algorithm": algorithm,
        "because": because,
        "selected": selected,
        "chunk": _chunk(inquiry, algorithm),
    }
    jobs.prepared(job, plan, by=by)


def choose(job: ExplanationJob, inquiry: Inquiry) -> tuple[str, str]:
    """The estimator and the code of the reason for it."""
    asked = job.settings.get("algorithm", Algorithm.AUTO)
    if asked != Algorithm.AUTO:
        return asked, "asked"
    return (Algorithm.LIME, "asked") if job.method == Method.LIME else (Algorithm.PAIR_PERM, "black_box")


def _chunk(inquiry: Inquiry, algorithm: str) -> int:
    """Rows in a chunk: it depends on the question alone, so that a resumed job has the same ones."""
    if algorithm == Algorithm.PAIR_PERM:
        return shap_chunk(features=len(inquiry.columns), background=len(inquiry.background), least=inquiry.rounds[0])
    return 1 if algorithm in (Algorithm.LIME, Algorithm.KERNEL, Algorithm.EXACT) else max(1, CHUNK_ROWS // 10_000)


def _selected(job: ExplanationJob, inquiry: Inquiry, scorer: Scorer) -> list[int] | None:
    """Positions of the sample of a global explanation, stratified by prediction; None when every row is explained."""
    size = job.settings.get("sample")
    if size is None:
        return None
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
    return ShapEngine(inquiry, scorer)


def helpers(job: ExplanationJob) -> int:
    """How many more workers may help: as many as the endpoint takes requests for, and there are chunks."""
    chunks = -(-job.total // job.plan["chunk"])
    wanted = -(-int(job.endpoint.concurrency) // IN_FLIGHT)
    return max(0, min(chunks, wanted, MOST_WORKERS) - 1)
