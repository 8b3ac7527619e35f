"""What the numbers of an analysis say, as sentences and as tables: the conclusion before the evidence."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from explain.comparisons import first_reasons
from explain.models import Analysis, AnalysisState, Kind, Standing

FAULTS = {
    "input_is_draft": gettext_lazy("An explanation that it rests on is a draft."),
    "input_is_stale": gettext_lazy("An explanation that it rests on was stale when this was measured."),
    "receipt_mismatch": gettext_lazy("What is stored of an explanation does not fit its receipt."),
    "rows_left_out": gettext_lazy("Rows without a result were left out."),
}
_METRICS = {
    "selection_rate": gettext_lazy("Selected"),
    "true_positive_rate": gettext_lazy("True positive rate"),
    "false_positive_rate": gettext_lazy("False positive rate"),
    "accuracy": gettext_lazy("Accuracy"),
}
#: Share of random regroupings from which on chance explains a difference.
CHANCE = 0.05


@dataclass(frozen=True, slots=True)
class Table:
    """One table: its first column heads the rows, all others are numbers."""

    title: str
    note: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def conclusion(analysis: Analysis) -> str:
    """The first line of the page."""
    match analysis.state:
        case AnalysisState.QUEUED:
            return _("Waiting for a worker. Nothing is lost when the broker or a worker stops.")
        case AnalysisState.RUNNING:
            return _("A worker is measuring.")
        case AnalysisState.FAILED:
            return analysis.error
    return _CONCLUSIONS[analysis.kind](analysis.result)


def standing(analysis: Analysis) -> list[str]:
    """What a finished analysis is good for."""
    if analysis.state != AnalysisState.FINISHED:
        return []
    if analysis.standing == Standing.EVIDENCE:
        counts = _("Counts as evidence for exactly these explanations.")
        if analysis.kind == Kind.FAIRNESS and not analysis.parameters.get("labelled"):
            return [counts, _("It is no fairness assessment: without outcomes no errors were compared between groups.")]
        return [counts]
    faults = [str(FAULTS.get(fault, fault)) for fault in analysis.receipt.get("faults", [])]
    return [_("A draft: it does not count as evidence."), *faults]


def tables(analysis: Analysis) -> list[Table]:
    """The numbers of a finished analysis."""
    return list(_TABLES[analysis.kind](analysis.result)) if analysis.state == AnalysisState.FINISHED else []


def _compared(result: Mapping[str, Any]) -> str:
    return first_reasons(result["rows"], result["changed"], result["changed_certain"])


def _fair(result: Mapping[str, Any]) -> str:
    gap = result["parity"]
    words = {
        "gap": _points(gap["value"]),
        "low": _points(gap["low"]),
        "high": _points(gap["high"]),
        "chance": f"{100 * gap['chance']:.2g}",
    }
    if gap["chance"] > CHANCE:
        return (
            _(
                "Selection rates differ by up to %(gap)s points between groups; groups drawn by lot differ as much in "
                "%(chance)s %% of cases, so chance alone can explain it."
            )
            % words
        )
    return (
        _(
            "Selection rates differ by up to %(gap)s points between groups (95 %%: %(low)s to %(high)s); groups drawn "
            "by lot differ as much in only %(chance)s %% of cases."
        )
        % words
    )


def _drifted(result: Mapping[str, Any]) -> str:
    found = [name for kind in ("inputs", "predictions", "contributions") for name in result["drifted"][kind]]
    apart = f"{result['apart']['auc']:.2f}"
    if not found:
        return _(
            "No drift was found; a classifier tells the samples apart with an AUC of %(auc)s, where 0.5 is not at all."
        ) % {"auc": apart}
    sentence = ngettext(
        "%(n)d input drifted (%(names)s); predictions: %(predictions)s; contributions: %(contributions)d. A "
        "classifier tells the samples apart with an AUC of %(auc)s.",
        "%(n)d inputs drifted (%(names)s); predictions: %(predictions)s; contributions: %(contributions)d. A "
        "classifier tells the samples apart with an AUC of %(auc)s.",
        len(result["drifted"]["inputs"]),
    )
    return sentence % {
        "n": len(result["drifted"]["inputs"]),
        "names": ", ".join(result["drifted"]["inputs"][:5]) or "–",
        "predictions": _("drifted") if result["drifted"]["predictions"] else _("the same"),
        "contributions": len(result["drifted"]["contributions"]),
        "auc": apart,
    }


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"


def _between(value: float | None, low: float | None, high: float | None) -> str:
    if value is None or low is None or high is None:
        return _number(value)
    return f"{value:.3g} ({low:.3g} – {high:.3g})"


def _of_comparison(result: Mapping[str, Any]) -> list[Table]:
    header = (_("Feature"), _("Champion"), _("Challenger"), _("Difference (95 %)"), _("Signs that changed"))
    rows = tuple(
        (
            each["name"],
            _number(each["champion"]),
            _number(each["challenger"]),
            _between(each["difference"], each["low"], each["high"]),
            str(each["flips"]),
        )
        for each in sorted(result["features"], key=lambda each: -abs(each["difference"]))
    )
    overall = (
        (_("Rows"), str(result["rows"])),
        (_("First reason changed"), f"{_points(result['top_changed'])} %"),
        (_("First reason changed beyond doubt"), f"{_points(result['top_changed_certain'])} %"),
        (_("Rows in which a sign changed"), f"{_points(result['flipped'])} %"),
        (_("Overlap of the three largest (1 is the same)"), _number(result["jaccard"])),
        (_("Rank correlation of the features"), _number(result["spearman"])),
        (_("Largest difference of a contribution"), _number(result["largest"])),
    )
    note = _("Single rows are compared on read, so that erasing a person erases theirs.")
    return [
        Table(_("Over all rows"), note, (_("Number"), _("Value")), overall),
        Table(_("Feature by feature"), _("Mean size of the contribution; rows resampled in pairs."), header, rows),
    ]


def _of_fairness(result: Mapping[str, Any]) -> list[Table]:
    metrics = list(result["overall"])
    header = (_("Group"), _("People"), *(str(_METRICS[metric]) for metric in metrics))
    rows = []
    for group in result["groups"]:
        cells = [_("too few to say") if group["suppressed"] else _rate(group["rates"][metric]) for metric in metrics]
        rows.append((group["name"], str(group["n"]), *cells))
    rows.append((_("All shown"), str(result["n"]), *(_rate(result["overall"][metric]) for metric in metrics)))
    found = [
        Table(
            _("Rates by group"),
            _("95 % bootstrap intervals. Groups under 30 people and rates over under 10 are not shown."),
            header,
            tuple(rows),
        ),
        Table(
            _("Largest differences"),
            _("The last column says how often groups drawn by lot differ as much."),
            (_("Measure"), _("Difference (95 %)"), _("By chance")),
            tuple(_gaps(result)),
        ),
    ]
    if result["contributions"]:
        rows = [
            (f"{each['feature']} · {each['group']}", _between(each["mean"], each["low"], each["high"]))
            for each in result["contributions"]
        ]
        header = (_("Feature and group"), _("Mean contribution (95 %)"))
        found.append(Table(_("Mean contributions by group"), "", header, tuple(rows)))
    return found


def _gaps(result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    for gap, name in ((result["parity"], _("Demographic parity")), (result["odds"], _("Equalised odds"))):
        if gap is None:
            labelled = "true_positive_rate" in result["overall"]
            found.append((name, _("too few to say") if labelled else _("no outcomes were given"), "–"))
        else:
            found.append((name, _between(gap["value"], gap["low"], gap["high"]), f"{100 * gap['chance']:.2g} %"))
    ratio = result["parity_ratio"]
    found.append((_("Smallest over largest selection rate"), _number(ratio), "–"))
    return found


def _rate(rate: Mapping[str, Any]) -> str:
    if rate["value"] is None:
        return _("too few to say")
    return _between(rate["value"], rate["low"], rate["high"])


def _of_drift(result: Mapping[str, Any]) -> list[Table]:
    titles = {"inputs": _("Inputs"), "predictions": _("Predictions"), "contributions": _("Contributions")}
    header = (
        _("Column"),
        _("Drifted"),
        _("Effect"),
        _("Corrected p-value"),
        _("Stability index (by chance)"),
        _("Jensen-Shannon distance"),
        _("Missing, before and after"),
    )
    found = []
    for kind, title in titles.items():
        rows = tuple(_column(each) for each in result[kind])
        found.append(Table(title, _("Corrected over all columns of this table (Benjamini-Hochberg)."), header, rows))
    apart = result["apart"]
    rows = (
        (_("AUC of a classifier that tells the samples apart"), _between(apart["auc"], apart["low"], apart["high"])),
    )
    note = _("0.5 is not at all, 1 always; on rows that it was not trained on.")
    return [*found, Table(_("All inputs together"), note, (_("Measure"), _("Value (95 %)")), rows)]


def _column(each: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        each["name"],
        _("yes") if each["drifted"] else _("no"),
        _number(each["effect"]),
        _number(each["q"]),
        f"{each['psi']:.3g} ({each['psi_by_chance']:.3g})",
        _number(each["distance"]),
        f"{_points(each['missing'][0])} % – {_points(each['missing'][1])} %",
    )


_CONCLUSIONS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    Kind.COMPARISON: _compared,
    Kind.FAIRNESS: _fair,
    Kind.DRIFT: _drifted,
}
_TABLES: Mapping[str, Callable[[Mapping[str, Any]], Sequence[Table]]] = {
    Kind.COMPARISON: _of_comparison,
    Kind.FAIRNESS: _of_fairness,
    Kind.DRIFT: _of_drift,
}
