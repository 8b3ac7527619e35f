"""What a worker does with one analysis: read what is stored, measure, write the result.

fairlearn and scikit-learn are imported here, so that nothing of this runs in a web process.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from django.db import Error as DatabaseFault
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.refusals import Conflict, Refusal
from audit.subject_keys import KeysUnavailable
from explain import analyses, cells, comparisons, inputs, receipts
from explain.jobs import WORKER
from explain.methods import drift, fairness
from explain.methods.codes import Column, Floats
from explain.methods.groups import grouping
from explain.methods.quality import RowResult
from explain.methods.refused import CannotSay
from explain.models import Analysis, AnalysisState, ExplanationJob, Kind, Method
from explain.wording import in_words

logger = logging.getLogger(__name__)


def perform(analysis_id: int, *, by: Actor = WORKER) -> str:
    """Do the analysis; answers the state that it ended in, or ``"ignored"``.

    What forbids an answer ends it with a sentence. A fault of a database is raised: the task is delivered again.
    """
    analysis = analyses.begin(analysis_id, by=by)
    if analysis is None:
        return "ignored"
    try:
        result = _MEASURES[analysis.kind](analysis)
        # jsonb has no NaN: a fault of the database would have the task delivered again for ever
        json.dumps(result, allow_nan=False)
        analyses.finish(analysis, result, by=by)
    except CannotSay as error:
        return _fail(analysis, in_words(error), error.code, by)
    except (DatabaseFault, KeysUnavailable):
        raise
    except Refusal as error:
        return _fail(analysis, error.sentence, error.code, by)
    except LookupError:
        return _fail(analysis, _("The groups that were given cannot be read any more."), "analysis.given_gone", by)
    except Exception:
        logger.exception("analysis %s met an error of the program", analysis_id)
        return _fail(analysis, _("The program met an error; its log names it under this number."), "bug", by)
    return AnalysisState.FINISHED


def _fail(analysis: Analysis, sentence: str, code: str, by: Actor) -> str:
    try:
        analyses.fail(analysis, sentence, code=code, by=by)
    except Conflict:
        return "ignored"
    return AnalysisState.FAILED


@dataclass(frozen=True, slots=True)
class Explained:
    """The rows of a job that can be counted: those with a result that nobody erased.

    ``phi``: (rows, features) with the question's groups summed; ``left_out``: how many rows have no result.
    """

    ids: list[str]
    cells: list[tuple[Any, ...]]
    scores: list[float]
    phi: Floats
    features: tuple[str, ...]
    left_out: int


def explained(job: ExplanationJob) -> Explained:
    """What is stored of ``job``. Raises ``KeysUnavailable``."""
    stored = [receipts.result_of(row) for row in job.results.all() if not row.erased]
    known = {row.id: row.cells for row in inputs.rows_of(job) if row.cells is not None}
    good: list[RowResult] = [row for row in stored if not row.problem and row.fx is not None and row.row_id in known]
    kinds = [str(column["kind"]) for column in job.columns]
    made = grouping(job.names, job.settings.get("groups") or {})
    phi = np.array([row.phi for row in good], dtype=np.float64).reshape(len(good), len(kinds))
    return Explained(
        ids=[row.row_id for row in good],
        cells=[tuple(map(cells.cell, known[row.row_id], kinds)) for row in good],
        scores=[float(row.fx) for row in good if row.fx is not None],
        phi=made.contributions(phi),
        features=made.names,
        left_out=len(stored) - len(good),
    )


def _comparison(analysis: Analysis) -> dict[str, Any]:
    """The comparison over all rows; single rows stay where they can be erased, and are compared on read."""
    assert analysis.second is not None  # noqa: S101 - a constraint of the table
    compared = comparisons.compare(analysis.first, analysis.second)
    told = comparisons.as_json(compared)
    rows, left_out = told.pop("rows"), told.pop("left_out")
    changed = [row for row in rows if row["top_changed"]]
    return told | {
        "rows": len(rows),
        "left_out": len(left_out),
        "changed": len(changed),
        "changed_certain": sum(row["certain"] for row in changed),
    }


def _fairness(analysis: Analysis) -> dict[str, Any]:
    job, asked = analysis.first, analysis.parameters
    people, rows = analyses.people(analysis), explained(job)
    if people.groups is None:
        place = job.names.index(asked["column"])
        groups = [_("(missing)") if row[place] is None else str(row[place])[:64] for row in rows.cells]
    else:
        groups = [people.groups[row_id] for row_id in rows.ids]
    measured = fairness.measure(
        groups,
        rows.scores,
        threshold=float(asked["threshold"]),
        favourable=asked["favourable"],
        labels=None if people.labels is None else [people.labels[row_id] for row_id in rows.ids],
        phi=rows.phi if job.method == Method.SHAP else None,
        features=rows.features,
        seed=int(asked["seed"]),
    )
    return asdict(measured) | {"left_out": rows.left_out}


def _drift(analysis: Analysis) -> dict[str, Any]:
    first, second = analysis.first, analysis.second
    assert second is not None  # noqa: S101 - a constraint of the table
    _one_model(first, second)
    kinds = [Column(each["name"], each["kind"]) for each in first.columns]
    one, two = explained(first), explained(second)
    seed = int(analysis.parameters["seed"])
    found = {
        "inputs": drift.columns(kinds, one.cells, two.cells),
        "predictions": drift.numbers(
            ["prediction"], np.array(one.scores).reshape(-1, 1), np.array(two.scores).reshape(-1, 1)
        ),
        "contributions": drift.numbers(one.features, one.phi, two.phi),
    }
    return {
        "sizes": [len(one.ids), len(two.ids)],
        "left_out": one.left_out + two.left_out,
        "apart": asdict(drift.classifier(kinds, one.cells, two.cells, seed=seed)),
        "drifted": {name: list(each.drifted) for name, each in found.items()},
        **{name: [asdict(column) for column in each.columns] for name, each in found.items()},
    }


def _one_model(first: ExplanationJob, second: ExplanationJob) -> None:
    """Drift of predictions and contributions means something only while model and background are the same.

    Raises ``CannotSay`` with the names of what differs.
    """
    sides = [_conditions(job) for job in (first, second)]
    differing = [name for name in sides[0] if sides[0][name] != sides[1][name]]
    if differing:
        raise CannotSay("drift.conditions", differing=differing)


def _conditions(job: ExplanationJob) -> dict[str, Any]:
    return {
        "version": job.digest,
        "columns": job.columns,
        "background": inputs.background_digest(job),
        "method": job.method,
        "output": job.output.get("name"),
        "scale": job.output.get("scale"),
        "groups": job.settings.get("groups") or {},
    }


_MEASURES: dict[str, Callable[[Analysis], dict[str, Any]]] = {
    Kind.COMPARISON: _comparison,
    Kind.FAIRNESS: _fairness,
    Kind.DRIFT: _drift,
}
