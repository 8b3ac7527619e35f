"""What must hold for every server alike: the same twenty rows, the same bits, the exact values within the error."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xgboost

from explain.engines import Inquiry
from explain.methods.codes import Floats
from explain.methods.quality import RowResult
from explain.serving import probe
from explain.serving.clients import open_client
from tests.explain.real import adult
from tests.explain.real.running import Running


@dataclass(frozen=True)
class Oracle:
    """What is true of the model without any server: its file, answers, exact values, and our estimate of them."""

    model: xgboost.XGBClassifier
    answers: Floats
    exact: Floats
    estimated: list[RowResult]


def oracle(model: xgboost.XGBClassifier) -> Oracle:
    """Everything that a server's answers are compared with; half a second."""
    direct = adult.InProcess(model)
    answers = direct.send(adult.inquiry().table, wire="memory")
    return Oracle(model, answers, adult.exactly(model), adult.explained(direct, "memory"))


def inspected(
    protocol: str, running: Running, asked: Inquiry, options: Mapping[str, Any] | None = None, *, output: int | None = 1
) -> probe.Report:
    """What the preflight probe finds at the server."""
    client = open_client(protocol, running.url, options)
    try:
        return probe.inspect(client, asked.table, output=output, probability=True)
    finally:
        client.close()


def agrees(protocol: str, running: Running, true: Oracle, options: Mapping[str, Any] | None = None) -> str:
    """Assert it, in every format that the probe found bit-equal. Gives one line of figures."""
    client = open_client(protocol, running.url, options)
    try:
        report = probe.inspect(client, adult.inquiry().table, output=1, probability=True)
        assert (report.findings, report.refused) == ((), {})
        assert set(report.rates) == set(client.formats)
        figures = []
        for wire in client.formats:
            assert client.send(adult.inquiry().table, wire=wire).tobytes() == true.answers.tobytes(), wire
            began = time.monotonic()
            found = adult.explained(client, wire)
            figures.append(f"{wire.rpartition('/')[2]} {(time.monotonic() - began) / len(found) * 1000:.0f} ms a row")
            explains(found, true)
    finally:
        client.close()
    return (
        f"{protocol}: installed in {running.installed:.0f} s, ready after {running.started:.1f} s, "
        f"{', '.join(figures)}, server says {report.server or 'nothing'!r}"
    )


def explains(found: list[RowResult], true: Oracle) -> None:
    """Assert that served explanations are the ones of the model in memory, and near the exact values."""
    phi, se = np.array([row.phi for row in found]), np.array([row.se for row in found])
    assert phi.tobytes() == np.array([row.phi for row in true.estimated]).tobytes()
    assert se.tobytes() == np.array([row.se for row in true.estimated]).tobytes()
    assert [row.rounds for row in found] == [row.rounds for row in true.estimated]
    assert (np.abs(phi - true.exact) <= adult.LIMIT * se + adult.ROUNDING).all()
    assert max(abs(row.residual) for row in found) < 1e-12
