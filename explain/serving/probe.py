"""What is found out about an endpoint before a job trusts it, and asked again when the job ends.

The served model can itself be inconsistent: with MLflow 3.17.2 a row with a missing category gets another probability
depending on the *other* rows of the same JSON request. No explanation of such answers is right, so this is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.serving.limits import Limiter, LocalLimiter, Stopped, go_on
from explain.serving.protocol import ServingClient, ServingError, Table, WrongAnswer
from explain.serving.scoring import FIRST_BATCH, LARGEST_BATCH, LONGEST_REQUEST, choose

#: Largest difference between two answers to the same row, relative to the spread of the answers (at least 1).
TOLERANCE = 1e-6
#: Rows that are compared, and of these the rows that go alone in every format but the first.
CANARIES, ALONE = 8, 2
#: Rows of the two timing requests; the second is left out when the first takes longer than this, in seconds.
FEW, MANY, SLOW = 64, 1024, 0.25
#: The part of a request's time that may be its fixed cost when the first batch is chosen.
FIXED_SHARE = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """``wire``: the chosen format. ``findings``: words for what is wrong; any of ``FATAL`` makes the job a draft.

    ``batch``: rows that the first request should have. ``parity``: the largest difference to the model that was loaded
    from its artifact, relative to the largest answer, None when it was not loaded. ``model_version``: what answers say
    of themselves.
    """

    wire: str
    canaries: tuple[float, ...]
    differences: dict[str, float]
    rates: dict[str, float]
    refused: dict[str, str]
    findings: tuple[str, ...]
    server: str
    outputs: int
    batch: int = FIRST_BATCH
    parity: float | None = None
    model_version: str = ""

    def compared(self, difference: float, *, most: float) -> Report:
        """With the ``difference`` to the model as loaded from its artifact: above ``most`` something else is served."""
        found = () if difference <= most else ("parity_failed",)  # nan is not
        return replace(self, parity=difference, findings=(*self.findings, *found))

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {
            "wire": self.wire,
            "canaries": list(self.canaries),
            "largest_difference": {wire: _finite(value) for wire, value in self.differences.items()},
            "rows_per_second": {wire: round(rate) for wire, rate in self.rates.items()},
            "refused_formats": self.refused,
            "findings": list(self.findings),
            "server": self.server,
            "model_version": self.model_version,
            "outputs_per_row": self.outputs,
            "parity": _finite(self.parity),
        }


def _finite(value: float | None) -> float | None:
    """JSON has no infinity: null stands for a difference to what is no number."""
    return value if value is not None and np.isfinite(value) else None


#: Findings after which a result is no evidence: the endpoint does not answer one question in one way, or its artifact
#: is not what answers.
FATAL = frozenset(
    {"batch_dependent", "order_dependent", "not_deterministic", "labels", "not_probabilities", "parity_failed"}
)
#: Findings after which the formats are not compared: the answers differ for another reason.
_INCONSISTENT = frozenset({"batch_dependent", "order_dependent", "not_deterministic"})


def canary_rows(table: Table) -> Table:
    """Rows to compare: those with missing values first, because that is where servers disagree with themselves."""
    missing = np.zeros(len(table), dtype=bool)
    for cells in table.cells:
        missing |= np.array([cell is None or cell != cell for cell in cells.tolist()], dtype=bool)
    order = np.argsort(~missing, kind="stable")
    half = order[: CANARIES // 2]
    rest = [int(i) for i in np.linspace(0, len(table) - 1, num=min(CANARIES, len(table))).astype(int)]
    chosen = list(dict.fromkeys([*half.tolist(), *rest]))[:CANARIES]
    return table.take(chosen)


def inspect(
    client: ServingClient,
    table: Table,
    *,
    output: int | None,
    probability: bool,
    reference: Table | None = None,
    limiter: Limiter | None = None,
    stopped: Stopped = go_on,
) -> Report:
    """Score a few rows alone, together, reversed and in every format.

    ``reference``: the rows of which the canary rows are taken, whose answers stay in the report: rows that nobody may
    want erased; ``table`` itself when not given. ``limiter``: the endpoint's limits, which hold for a probe too;
    ``stopped`` raises to abandon a wait for them.

    Raises a ``ServingError`` when the endpoint cannot be used at all: unreachable, refusing, wrong shape.
    """
    rows = canary_rows(table)
    ask = Asker(client, output, limiter or LocalLimiter(), stopped)
    production, *others = client.formats
    # before all others, so that a model which changes during the probe is noticed at the first check
    first = None if reference is None else _finite_answers(ask(canary_rows(reference), production))
    raw = ask.raw(rows, production)
    together = _finite_answers(choose(raw, output))
    findings = _shape_findings(raw, together, probability=probability)
    difference, found = _consistency(ask, rows, production, together, alone=len(rows))
    findings += found
    differences, refused = {production: difference}, {}
    timings = {production: _timing(ask, rows, production)}
    for wire in others:
        try:
            differences[wire], same = _as_production(ask, rows, wire, together)
            if same:
                timings[wire] = _timing(ask, rows, wire)
            elif not _INCONSISTENT & set(findings):
                findings.append("formats_disagree")
        except ServingError as error:
            refused[wire] = error.sentence
    wire = production if _INCONSISTENT & set(findings) else max(timings, key=lambda name: timings[name].rate)
    return Report(
        wire=wire,
        canaries=tuple((together if first is None else first).tolist()),
        differences=differences,
        rates={name: timing.rate for name, timing in timings.items()},
        refused=refused,
        findings=tuple(dict.fromkeys(findings)),
        server=client.version(),
        outputs=1 if raw.ndim == 1 else raw.shape[1],
        batch=timings[wire].batch,
        model_version=getattr(client, "model_version", ""),
    )


def _finite_answers(answers: Floats) -> Floats:
    """The answers, when all are numbers. Raises ``WrongAnswer``."""
    if missing := int((~np.isfinite(answers)).sum()):
        raise WrongAnswer(
            f"The model answers NaN or infinity for {missing} of {len(answers)} probed rows; nothing can be explained.",
            code="answer.not_finite",
        )
    return answers


@dataclass(frozen=True, slots=True)
class Asker:
    """Sends rows under the endpoint's limits, in as many requests as it wants."""

    client: ServingClient
    output: int | None
    limiter: Limiter
    stopped: Stopped

    def raw(self, rows: Table, wire: str) -> Floats:
        size = min(getattr(self.client, "largest_batch", None) or len(rows), self.limiter.largest or len(rows))
        parts = []
        for start in range(0, len(rows), size):
            part = rows.take(slice(start, start + size))
            with self.limiter.slot(len(part), self.stopped):
                parts.append(self.client.send(part, wire=wire))
        return np.concatenate(parts) if len(parts) > 1 else parts[0]

    def __call__(self, rows: Table, wire: str) -> Floats:
        return choose(self.raw(rows, wire), self.output)


def _allowed(answers: Floats) -> float:
    return TOLERANCE * max(1.0, float(np.abs(answers).max(initial=0.0)))


def _consistency(ask: Asker, rows: Table, wire: str, together: Floats, *, alone: int) -> tuple[float, list[str]]:
    """The largest difference to the same rows again, alone and reversed, and the word for the first that differs."""
    allowed = _allowed(together)
    again = _difference(ask(rows, wire), together)
    single = np.concatenate([ask(rows.take([i]), wire) for i in range(min(alone, len(rows)))])
    apart = _difference(single, together[: len(single)])
    backwards = _difference(ask(rows.take(slice(None, None, -1)), wire)[::-1], together)
    largest = max(again, apart, backwards)
    if again > allowed:
        return largest, ["not_deterministic"]
    found = ["batch_dependent"] if apart > allowed else ["order_dependent"] if backwards > allowed else []
    return largest, found


def _as_production(ask: Asker, rows: Table, wire: str, together: Floats) -> tuple[float, bool]:
    """How consistent another format is, and whether it gets the same answers to the last bit."""
    answers = ask(rows, wire)
    difference, found = _consistency(ask, rows, wire, answers, alone=ALONE)
    return difference, not found and answers.tobytes() == together.tobytes()


def _difference(one: Floats, other: Floats) -> float:
    """Infinite when one of them is no number."""
    if not np.isfinite(one).all():
        return float("inf")
    return float(np.abs(one - other).max(initial=0.0))


@dataclass(frozen=True, slots=True)
class _Timing:
    """Rows per second, and the batch at which a request's fixed cost no longer counts."""

    rate: float
    batch: int


def _timing(ask: Asker, rows: Table, wire: str) -> _Timing:
    few = _seconds(ask, rows, wire, FEW)
    if few > SLOW:
        return _Timing(FEW / few, FIRST_BATCH)
    many = _seconds(ask, rows, wire, MANY)
    a_row = max((many - few) / (MANY - FEW), 1e-7)
    fixed = max(few - FEW * a_row, 1e-4)
    best = min(fixed / (FIXED_SHARE * a_row), LONGEST_REQUEST / a_row)
    return _Timing(MANY / many, int(min(max(best, FIRST_BATCH), LARGEST_BATCH)))


def _seconds(ask: Asker, rows: Table, wire: str, count: int) -> float:
    many = rows.take(np.resize(np.arange(len(rows)), count))
    began = time.perf_counter()
    ask(many, wire)
    return max(time.perf_counter() - began, 1e-9)


def _shape_findings(raw: Floats, chosen: Floats, *, probability: bool) -> list[str]:
    """«labels»: only whole numbers where probabilities are promised. «not_summing»: rows do not add up to one."""
    if not probability:
        return []
    findings = []
    if np.array_equal(chosen, np.rint(chosen)):
        # a matrix of 0 and 1 may come from a model that is that sure; one whole number a row is a label
        findings.append("labels" if raw.ndim == 1 or raw.shape[1] == 1 else "only_zero_or_one")
    if chosen.min() < 0 or chosen.max() > 1:
        findings.append("not_probabilities")
    elif raw.ndim == 2 and raw.shape[1] > 1 and np.abs(raw.sum(axis=1) - 1).max() > 1e-4:
        findings.append("not_summing")
    return findings
