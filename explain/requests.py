"""Reading a request for an explanation: everything that can be wrong with it is said before a worker starts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from audit.refusals import BadInput, Refused
from explain import engines, receipts
from explain.methods import lime
from explain.methods.codes import Column, Kind, UnusableColumn, columns_of
from explain.models import Method
from registry.models import Endpoint, ModelVersion

#: Model rows that one job may score.
BUDGET = 2_000_000
#: Fewer background rows give a base value by chance; more gain little.
LEAST_BACKGROUND, MOST_BACKGROUND = 10, 500
MOST_ROWS, MOST_COLUMNS, MOST_TEXT = 500, 300, 10_000

_KINDS: dict[str, Kind] = {
    "double": "number",
    "float": "number",
    "long": "integer",
    "integer": "integer",
    "boolean": "boolean",
    "string": "string",
    "datetime": "string",
}


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A request as it is stored; see the fields of ``ExplanationJob``."""

    columns: list[dict[str, str]]
    rows: list[dict[str, Any]]
    background: list[list[Any]]
    output: dict[str, Any]
    tol: Decimal
    seed: int
    budget: int
    digests: dict[str, str]


def read(
    version: ModelVersion,
    endpoint: Endpoint,
    *,
    method: str,
    rows: Mapping[str, Mapping[str, Any]],
    background: Sequence[Mapping[str, Any]],
    seed: int,
    tol: Decimal | str,
) -> Inquiry:
    """A checked request. Raises ``BadInput`` with the field, ``Refused`` when the facts forbid it."""
    if method not in Method.values:
        raise _bad("method", _("Choose a method: %(known)s.") % {"known": ", ".join(Method.values)})
    if endpoint.version_id != version.pk:
        raise Refused(
            _("%(endpoint)s does not serve %(version)s.") % {"endpoint": endpoint.subject, "version": version.subject},
            code="explanation.endpoint_serves_another",
        )
    tolerance, number = _tolerance(tol), _seed(seed)
    _sizes(rows, background)
    columns = _columns(version, [*rows.values(), *background])
    output = _output(endpoint)
    _affordable(method, len(rows), len(background), len(columns))
    stored_rows = [{"id": _row_id(name), "cells": _cells(row, columns)} for name, row in rows.items()]
    stored_background = [_cells(row, columns) for row in background]
    _perturbable(method, columns, stored_rows, stored_background)
    described = [{"name": column.name, "kind": column.kind} for column in columns]
    config = {"method": method, "tol": str(tolerance), "seed": str(number), "budget": BUDGET, "output": output}
    return Inquiry(
        columns=described,
        rows=stored_rows,
        background=stored_background,
        output=output,
        tol=tolerance,
        seed=number,
        budget=BUDGET,
        digests=receipts.asked(columns=described, rows=stored_rows, background=stored_background, config=config),
    )


def _bad(field: str, sentence: str) -> BadInput:
    return BadInput(sentence, code=f"explanation.{field}", fields={field: sentence})


def _tolerance(tol: Decimal | str) -> Decimal:
    try:
        value = Decimal(str(tol))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not Decimal("0.001") <= value <= Decimal("0.5"):
        raise _bad("tol", _("The tolerance is a share of the largest contribution, from 0.001 to 0.5."))
    return value.quantize(Decimal("0.0001"))


def _seed(seed: object) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise _bad("seed", _("The seed is a whole number from 0."))
    return seed


def _sizes(rows: Mapping[str, Any], background: Sequence[Any]) -> None:
    if not 1 <= len(rows) <= MOST_ROWS:
        raise _bad(
            "rows",
            _("Give 1 to %(most)d rows to explain; here are %(count)d.") % {"most": MOST_ROWS, "count": len(rows)},
        )
    if not LEAST_BACKGROUND <= len(background) <= MOST_BACKGROUND:
        raise _bad(
            "background",
            _("Give %(least)d to %(most)d background rows; here are %(count)d.")
            % {"least": LEAST_BACKGROUND, "most": MOST_BACKGROUND, "count": len(background)},
        )


def _row_id(name: str) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or not name.isprintable():
        raise _bad("rows", _("The id of a row is text of 1 to 64 printable characters."))
    return name


def _columns(version: ModelVersion, every: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
    """The columns of the version's schema, or of the rows when it has none; every row must have exactly these."""
    inputs = version.schema.get("inputs") or []
    declared = {
        str(each.get("name")): kind
        for each in inputs
        if (kind := _KINDS.get(str(each.get("type")).lower())) is not None
    }
    names = [str(each.get("name")) for each in inputs] or [str(name) for name in every[0]]
    if not 1 <= len(names) <= MOST_COLUMNS:
        raise _bad("rows", _("A row has 1 to %(most)d columns.") % {"most": MOST_COLUMNS})
    for number, row in enumerate(every, start=1):
        if not isinstance(row, Mapping) or set(row) != set(names):
            raise _bad("rows", _row_problem(number, row, names))
    try:
        found = columns_of([{name: row[name] for name in names} for row in every], declared=declared)
        for column in found:
            _fits(column, [row[column.name] for row in every])
    except UnusableColumn as error:
        raise _bad("rows", str(error)) from error
    return found


def _row_problem(number: int, row: object, names: Sequence[str]) -> str:
    if not isinstance(row, Mapping):
        return _("Row %(number)d is not an object of columns and values.") % {"number": number}
    missing = [name for name in names if name not in row]
    extra = [str(name) for name in row if name not in names]
    return _("Row %(number)d does not have the model's columns. Missing: %(missing)s. Unknown: %(extra)s.") % {
        "number": number,
        "missing": ", ".join(missing[:8]) or "–",
        "extra": ", ".join(extra[:8]) or "–",
    }


def _fits(column: Column, values: Sequence[Any]) -> None:
    """Raise ``UnusableColumn`` when a value is not of the column's kind."""
    allowed: dict[str, tuple[type, ...]] = {
        "number": (int, float),
        "integer": (int,),
        "boolean": (bool,),
        "string": (str,),
    }
    for value in values:
        if value is None:
            continue
        right = isinstance(value, allowed[column.kind]) and (column.kind == "boolean" or not isinstance(value, bool))
        if not right:
            raise UnusableColumn(
                column.name,
                _("Column “%(name)s” is a %(kind)s for the model, but a row has %(value)s.")
                % {"name": column.name, "kind": column.kind, "value": json.dumps(value, default=str)[:60]},
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise UnusableColumn(
                column.name, _("Column “%(name)s”: write null for a missing number.") % {"name": column.name}
            )
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise UnusableColumn(
                column.name, _("Column “%(name)s” has a number that is too large.") % {"name": column.name}
            )
        if isinstance(value, str) and (len(value) > MOST_TEXT or "\x00" in value):
            raise UnusableColumn(
                column.name, _("Column “%(name)s” has a text that is too long.") % {"name": column.name}
            )


def cell(value: Any, kind: str) -> Any:
    """A stored cell as the model gets it: PostgreSQL's jsonb gives 1e20 back as an integer."""
    return float(value) if kind == "number" and value is not None else value


def _cells(row: Mapping[str, Any], columns: Sequence[Column]) -> list[Any]:
    return [cell(row[column.name], column.kind) for column in columns]


def _output(endpoint: Endpoint) -> dict[str, Any]:
    """Which output is explained, from the endpoint's contract. Raises ``Refused`` for labels and for silence."""
    contract = endpoint.output
    kind = contract.get("kind")
    if kind == "label":
        raise Refused(
            _(
                "%(endpoint)s answers labels, which have no size to explain: serve probabilities "
                '(for scikit-learn in MLflow: pyfunc_predict_fn="predict_proba").'
            )
            % {"endpoint": endpoint.subject},
            code="explanation.labels",
        )
    if kind not in ("probability", "score", "value"):
        raise Refused(
            _("The contract of %(endpoint)s does not say what its answer means.") % {"endpoint": endpoint.subject},
            code="explanation.output_unknown",
        )
    of_class = str(contract.get("of_class", "")).strip()
    return {"name": of_class or str(kind), "index": _index(contract, of_class), "scale": kind}


def _index(contract: Mapping[str, Any], of_class: str) -> int | None:
    """``index``, else the place of ``of_class`` in ``classes``, else ``of_class`` itself when it is a number."""
    if isinstance(contract.get("index"), int):
        return int(contract["index"])
    classes = [str(name) for name in contract.get("classes", [])]
    if of_class in classes:
        return classes.index(of_class)
    return int(of_class) if of_class.isascii() and of_class.isdigit() else None


def _affordable(method: str, rows: int, background: int, columns: int) -> None:
    share = BUDGET // rows
    if method == Method.SHAP:
        least = engines.LEAST_ROUNDS * background * 2 * max(columns - 1, 0) + 1
    else:
        least = lime.SEEDS * lime.FIRST_SAMPLES
    if least > share:
        raise Refused(
            _("This needs at least %(need)s model rows, and a job may score %(most)s. Ask for fewer rows.")
            % {"need": f"{least * rows:,}", "most": f"{BUDGET:,}"},
            code="explanation.budget",
        )


def _perturbable(
    method: str, columns: Sequence[Column], rows: Sequence[Mapping[str, Any]], background: Sequence[Sequence[Any]]
) -> None:
    if method != Method.LIME:
        return
    try:
        lime.Neighbourhood(columns, background, [row["cells"] for row in rows])
    except UnusableColumn as error:
        raise _bad("rows", str(error)) from error
