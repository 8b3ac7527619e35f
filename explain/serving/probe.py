"""What is found out about an endpoint before a job trusts it, and asked again when the job ends.

The served model can itself be inconsistent: with MLflow 3.17.2 a row with a missing category gets another probability
depending on the *other* rows of the same JSON request. No explanation of such answers is right, so this is measured.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from explain.methods.codes import Floats
from explain.serving.protocol import RequestRefused, ServerFailed, ServingClient, ServingError, Table, WrongAnswer
from explain.serving.scoring import choose

#: Largest difference between two answers to the same row, relative to the spread of the answers (at least 1).
TOLERANCE = 1e-6
#: Rows that are compared, and rows in each timing request.
CANARIES, TIMED_ROWS = 8, 512


@dataclass(frozen=True, slots=True)
class Report:
    """``wire``: the chosen format. ``findings``: words for what is wrong; any of ``FATAL`` makes the job a draft."""

    wire: str
    canaries: tuple[float, ...]
    differences: dict[str, float]
    rates: dict[str, float]
    refused: dict[str, str]
    findings: tuple[str, ...]
    server: str
    outputs: int

    def as_json(self) -> dict[str, Any]:
        """For the receipt."""
        return {
            "wire": self.wire,
            "canaries": list(self.canaries),
            "largest_difference": self.differences,
            "rows_per_second": {wire: round(rate) for wire, rate in self.rates.items()},
            "refused_formats": self.refused,
            "findings": list(self.findings),
            "server": self.server,
            "outputs_per_row": self.outputs,
        }


#: Findings after which a result is no evidence: the endpoint does not answer one question in one way.
FATAL = frozenset({"batch_dependent", "labels", "not_probabilities"})


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


def inspect(client: ServingClient, table: Table, *, output: int | None, probability: bool) -> Report:
    """Score a few rows alone, together, reversed and in every format.

    Raises a ``ServingError`` when the endpoint cannot be used at all: unreachable, refusing, wrong shape.
    """
    rows = canary_rows(table)
    production, *others = client.formats
    together, difference, raw = _consistency(client, rows, production, output)
    if not np.isfinite(together).all():
        count = int((~np.isfinite(together)).sum())
        raise WrongAnswer(
            f"The model answers NaN or infinity for {count} of {len(together)} probed rows; nothing can be explained.",
            code="answer.not_finite",
        )
    findings = _shape_findings(raw, together, probability=probability)
    differences, refused = {production: difference}, {}
    rates = {production: _rate(client, rows, production, output)}
    if difference > _allowed(together):
        findings.append("batch_dependent")
    for wire in others:
        try:
            answers, difference, _raw = _consistency(client, rows, wire, output)
            rate = _rate(client, rows, wire, output)
        except (RequestRefused, ServerFailed, WrongAnswer) as error:
            refused[wire] = error.sentence
            continue
        differences[wire] = difference
        if difference <= _allowed(together) and answers.tobytes() == together.tobytes():
            rates[wire] = rate
        else:
            findings.append("formats_disagree")
    wire = max(rates, key=lambda name: rates[name]) if "batch_dependent" not in findings else production
    return Report(
        wire=wire,
        canaries=tuple(together.tolist()),
        differences=differences,
        rates=rates,
        refused=refused,
        findings=tuple(dict.fromkeys(findings)),
        server=client.version(),
        outputs=1 if raw.ndim == 1 else raw.shape[1],
    )


def unchanged(client: ServingClient, table: Table, report: Report, *, output: int | None) -> bool:
    """Whether the canary rows still get the answers of the start: otherwise another model answers now."""
    try:
        again = choose(client.send(canary_rows(table), wire=report.wire), output)
    except WrongAnswer:
        return False
    was = np.array(report.canaries)
    return bool(np.isfinite(again).all() and np.abs(again - was).max() <= _allowed(was))


def _allowed(answers: Floats) -> float:
    return TOLERANCE * max(1.0, float(np.abs(answers).max(initial=0.0)))


def _consistency(client: ServingClient, rows: Table, wire: str, output: int | None) -> tuple[Floats, float, Floats]:
    """Answers together, the largest difference to the same rows alone and reversed, and the raw answer."""
    raw = client.send(rows, wire=wire)
    together = choose(raw, output)
    alone = np.concatenate([choose(client.send(rows.take([i]), wire=wire), output) for i in range(len(rows))])
    backwards = choose(client.send(rows.take(slice(None, None, -1)), wire=wire), output)[::-1]
    differences = np.concatenate([np.abs(alone - together), np.abs(backwards - together)])
    return together, float(np.nanmax(differences, initial=0.0)), raw


def _rate(client: ServingClient, rows: Table, wire: str, output: int | None) -> float:
    """Rows per second of the better of two larger requests."""
    many = rows.take(np.resize(np.arange(len(rows)), TIMED_ROWS))
    best = 0.0
    for _ in range(2):
        began = time.perf_counter()
        try:
            choose(client.send(many, wire=wire), output)
        except ServingError:
            continue
        best = max(best, len(many) / max(time.perf_counter() - began, 1e-9))
    return best


def _shape_findings(raw: Floats, chosen: Floats, *, probability: bool) -> list[str]:
    """«labels»: only whole numbers where probabilities are promised. «not_summing»: rows do not add up to one."""
    if not probability:
        return []
    findings = []
    if raw.size == len(raw) and np.array_equal(chosen, np.rint(chosen)):
        findings.append("labels")
    if chosen.min() < 0 or chosen.max() > 1:
        findings.append("not_probabilities")
    elif raw.ndim == 2 and raw.shape[1] > 1 and np.abs(raw.sum(axis=1) - 1).max() > 1e-4:
        findings.append("not_summing")
    return findings
