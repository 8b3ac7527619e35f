"""Reading a request for an explanation: everything that can be wrong with it is said before a worker starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from audit.refusals import Refused
from explain import engines
from explain.cells import cells_of, columns_for, named, refused
from explain.methods import lime
from explain.methods.codes import Column, UnusableColumn
from explain.methods.levels import LEVELS
from explain.models import Algorithm, ExplanationJob, Method, Scale
from registry.models import Endpoint, ModelVersion

#: Model rows that one job may score.
BUDGET = 2_000_000
#: Fewer background rows give a base value by chance; more gain little.
LEAST_BACKGROUND, MOST_BACKGROUND = 10, 500
#: Rows that are explained; rows that a sample may be drawn from; the smallest sample that says something overall.
MOST_ROWS, MOST_SAMPLED, LEAST_SAMPLE = 500, 5_000, 30
#: Features up to which all coalitions are affordable.
MOST_EXACT = 12
_EXACT = {Algorithm.TREE, Algorithm.LINEAR, Algorithm.EXACT}


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A question as somebody asks it. ``None`` leaves the choice to the level or to the endpoint's contract.

    ``rows``: stable id -> column -> value. ``groups``: name -> columns that are shown as one feature. ``sample``: how
    many of the rows are explained, stratified by their prediction. ``budget``: model rows at most. ``subjects``: row id
    -> the person whom the row is about; ``background_subjects``: the same for the background in its order, empty for
    nobody. ``notify``: an address that is told of the end.
    """

    rows: Mapping[str, Mapping[str, Any]]
    background: Sequence[Mapping[str, Any]]
    method: str = Method.SHAP
    seed: int = 0
    tol: Decimal | str | None = None
    level: str = "standard"
    algorithm: str = Algorithm.AUTO
    scale: str | None = None
    of_class: str | None = None
    groups: Mapping[str, Sequence[str]] | None = None
    sample: int | None = None
    budget: int | None = None
    subjects: Mapping[str, str] = field(default_factory=dict)
    background_subjects: Sequence[str] = ()
    notify: str = ""
    #: Where rows or background come from, when they were drawn (``explain.drawing``).
    drawn: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Inquiry:
    """A request as it is stored; see the fields of ``ExplanationJob``. ``rows``: ``{"id", "cells"}``."""

    columns: tuple[Column, ...]
    rows: list[dict[str, Any]]
    background: list[list[Any]]
    output: dict[str, Any]
    tol: Decimal
    seed: int
    budget: int
    settings: dict[str, Any]

    @property
    def explained(self) -> int:
        """How many rows get a result."""
        return self.settings["sample"] or len(self.rows)

    @property
    def described(self) -> list[dict[str, str]]:
        """The columns as they are stored."""
        return [{"name": column.name, "kind": column.kind} for column in self.columns]

    def config(self, method: str) -> dict[str, Any]:
        """Everything but rows and columns that the results depend on."""
        return _config(method, self.tol, self.seed, self.budget, self.output, self.settings)


def stored_config(job: ExplanationJob) -> dict[str, Any]:
    """``Inquiry.config`` of a job."""
    return _config(job.method, job.tol, job.seed, job.budget, job.output, job.settings)


def _config(
    method: str, tol: Decimal, seed: int, budget: int, output: Mapping[str, Any], settings: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        "method": method,
        "tol": str(tol),
        "seed": str(seed),
        "budget": budget,
        "output": dict(output),
        "settings": {name: settings.get(name) for name in ("algorithm", "rounds", "sample")},
    }


def read(version: ModelVersion, endpoint: Endpoint, asked: Asked) -> Inquiry:
    """A checked request. Raises ``BadInput`` with the field, ``Refused`` when the facts forbid it."""
    if asked.method not in Method.values:
        raise refused("method", _("Choose a method: %(known)s.") % {"known": ", ".join(Method.values)})
    if endpoint.version_id != version.pk:
        raise Refused(
            _("%(endpoint)s does not serve %(version)s.") % {"endpoint": endpoint.subject, "version": version.subject},
            code="explanation.endpoint_serves_another",
        )
    precision = _precision(asked.level)
    _sizes(asked)
    every = named(asked.rows, asked.background)
    columns = columns_for(version, every)
    rows = [{"id": _row_id(name), "cells": cells_of(row, columns)} for name, row in asked.rows.items()]
    background = [cells_of(row, columns) for row in asked.background]
    inquiry = Inquiry(
        columns=columns,
        rows=rows,
        background=background,
        output=_output(endpoint, asked),
        tol=_tolerance(precision.tol if asked.tol is None else asked.tol),
        seed=seed(asked.seed),
        budget=_budget(asked.budget),
        settings={
            "algorithm": _algorithm(asked, len(columns)),
            "level": asked.level,
            "rounds": [precision.least, precision.most],
            "groups": _groups(asked.groups, columns),
            "sample": asked.sample,
        },
    )
    _affordable(inquiry, asked.method)
    _perturbable(inquiry, asked.method)
    return inquiry


def _precision(level: str) -> Any:
    if level not in LEVELS:
        raise refused("level", _("Choose a level: %(known)s.") % {"known": ", ".join(LEVELS)})
    return LEVELS[level]


def _tolerance(tol: Decimal | str) -> Decimal:
    try:
        value = Decimal(str(tol))
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not Decimal("0.001") <= value <= Decimal("0.5"):
        raise refused("tol", _("The tolerance is a share of the largest contribution, from 0.001 to 0.5."))
    return value.quantize(Decimal("0.0001"))


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def seed(seed: Any) -> int:
    """A checked seed. Raises ``BadInput``."""
    if not _whole(seed) or not 0 <= seed < 2**63:
        raise refused("seed", _("The seed is a whole number from 0."))
    return int(seed)


def _budget(budget: Any) -> int:
    if budget is None:
        return BUDGET
    if not _whole(budget) or not 1_000 <= budget <= BUDGET:
        raise refused(
            "budget", _("The budget is a number of model rows, from 1,000 to %(most)s.") % {"most": f"{BUDGET:,}"}
        )
    return int(budget)


def _sizes(asked: Asked) -> None:
    most = MOST_ROWS if asked.sample is None else MOST_SAMPLED
    if not 1 <= len(asked.rows) <= most:
        raise refused(
            "rows",
            _("Give 1 to %(most)d rows to explain; here are %(count)d.") % {"most": most, "count": len(asked.rows)},
        )
    if not LEAST_BACKGROUND <= len(asked.background) <= MOST_BACKGROUND:
        raise refused(
            "background",
            _("Give %(least)d to %(most)d background rows; here are %(count)d.")
            % {"least": LEAST_BACKGROUND, "most": MOST_BACKGROUND, "count": len(asked.background)},
        )
    if asked.sample is not None and not (
        _whole(asked.sample) and LEAST_SAMPLE <= asked.sample <= min(MOST_ROWS, len(asked.rows))
    ):
        raise refused(
            "sample",
            _("A sample has %(least)d to %(most)d rows, and no more than were given.")
            % {"least": LEAST_SAMPLE, "most": MOST_ROWS},
        )
    if unknown := sorted(set(asked.subjects) - set(asked.rows)):
        raise refused("subjects", _("There is no row “%(id)s” to be about anybody.") % {"id": unknown[0][:64]})
    if asked.background_subjects and len(asked.background_subjects) != len(asked.background):
        raise refused(
            "background_subjects",
            _("Say of each of the %(count)d background rows whom it is about: empty for nobody.")
            % {"count": len(asked.background)},
        )


def _row_id(name: str) -> str:
    if not isinstance(name, str) or not 1 <= len(name) <= 64 or not name.isprintable():
        raise refused("rows", _("The id of a row is text of 1 to 64 printable characters."))
    if name.startswith("erased-"):
        raise refused("rows", _("The id of a row does not begin with “erased-”: that marks erased ones."))
    return name


def _algorithm(asked: Asked, features: int) -> str:
    if asked.algorithm not in Algorithm.values:
        raise refused("algorithm", _("Choose an algorithm: %(known)s.") % {"known": ", ".join(Algorithm.values)})
    if asked.algorithm == Algorithm.AUTO:
        return str(Algorithm.LIME if asked.method == Method.LIME else Algorithm.AUTO)
    if (asked.algorithm == Algorithm.LIME) != (asked.method == Method.LIME):
        raise refused(
            "algorithm",
            _("%(algorithm)s does not compute %(method)s.") % {"algorithm": asked.algorithm, "method": asked.method},
        )
    if asked.algorithm == Algorithm.EXACT and features > MOST_EXACT:
        raise refused(
            "algorithm",
            _("All coalitions of %(features)d features are too many; the exact algorithm takes up to %(most)d.")
            % {"features": features, "most": MOST_EXACT},
        )
    return asked.algorithm


def _groups(groups: Mapping[str, Sequence[str]] | None, columns: Sequence[Column]) -> dict[str, list[str]] | None:
    if not groups:
        return None
    known = [column.name for column in columns]
    taken: dict[str, str] = {}
    for group, members in groups.items():
        if not isinstance(group, str) or not group.strip() or not isinstance(members, list | tuple) or not members:
            raise refused("groups", _("A group has a name and a list of columns."))
        for member in members:
            if member not in known:
                raise refused("groups", _("The model has no column “%(name)s”.") % {"name": str(member)[:64]})
            if member in taken:
                raise refused("groups", _("Column “%(name)s” is in two groups.") % {"name": member})
            taken[member] = group
        if group in known and list(members) != [group]:
            raise refused("groups", _("“%(name)s” is a column already: name the group differently.") % {"name": group})
    return {group: list(members) for group, members in groups.items()}


def _output(endpoint: Endpoint, asked: Asked) -> dict[str, Any]:
    """Which output is explained, on which scale. Raises ``Refused`` for labels and for silence."""
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
    scale = asked.scale or (Scale.PROBABILITY if kind == "probability" else Scale.RAW)
    if scale not in Scale.values or (scale != Scale.RAW and kind != "probability"):
        raise refused(
            "scale",
            _("The answer is a %(kind)s; choose among: %(known)s.") % {"kind": kind, "known": ", ".join(Scale.values)},
        )
    of_class = str(contract.get("of_class", "") if asked.of_class is None else asked.of_class).strip()
    index = _index(contract, of_class, chosen=asked.of_class is not None)
    return {"name": of_class or str(kind), "index": index, "kind": kind, "scale": str(scale)}


def _index(contract: Mapping[str, Any], of_class: str, *, chosen: bool) -> int | None:
    """``index``, else the place of ``of_class`` in ``classes``, else ``of_class`` itself when it is a number."""
    if isinstance(contract.get("index"), int) and not chosen:
        return int(contract["index"])
    classes = [str(name) for name in contract.get("classes", [])]
    if of_class in classes:
        return classes.index(of_class)
    number = int(of_class) if of_class.isascii() and of_class.isdigit() and len(of_class) < 6 else None
    if chosen and (classes or number is None):
        raise refused(
            "of_class",
            _("The contract names no class “%(name)s”; it names: %(known)s.")
            % {"name": of_class[:64], "known": ", ".join(classes) or "–"},
        )
    return number


def _affordable(inquiry: Inquiry, method: str) -> None:
    """Raises ``Refused`` when the least work is beyond the budget."""
    features, background, rows = len(inquiry.columns), len(inquiry.background), inquiry.explained
    share = inquiry.budget // rows
    if method == Method.LIME:
        least = lime.SEEDS * lime.FIRST_SAMPLES
    elif inquiry.settings["algorithm"] == Algorithm.EXACT:
        least = 2**features * background
    elif inquiry.settings["algorithm"] in _EXACT:
        least = background + 1
    else:
        least = inquiry.settings["rounds"][0] * background * 2 * max(features - 1, 0) + 1
    if least > share:
        raise Refused(
            _("This needs at least %(need)s model rows, and the job may score %(most)s. Ask for fewer rows.")
            % {"need": f"{least * rows:,}", "most": f"{inquiry.budget:,}"},
            code="explanation.budget",
        )


def _perturbable(inquiry: Inquiry, method: str) -> None:
    if method != Method.LIME:
        return
    try:
        lime.Neighbourhood(inquiry.columns, inquiry.background, [row["cells"] for row in inquiry.rows])
    except UnusableColumn as error:
        raise refused("rows", str(error)) from error


def engine_rounds(inquiry: Inquiry) -> int:
    """The most rounds that the budget allows each explained row (``engines.shap_rounds``)."""
    return engines.shap_rounds(
        features=len(inquiry.columns),
        background=len(inquiry.background),
        budget_per_row=inquiry.budget // inquiry.explained,
        most=inquiry.settings["rounds"][1],
    )
