"""What tells one version from another: metrics, parameters, data, features, dependencies, explanations. Reads only.

Unknown is not the same: where the registry does not know a part of either version, the part says whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from registry import families, queries, signals
from registry.comparison import Change, Metric, compare_metrics, compare_texts, features_of
from registry.models import Dataset, ModelVersion, Run


@dataclass(frozen=True, slots=True)
class Part:
    """One part of both versions. ``unknown`` are the labels of the versions of which the registry does not know it."""

    name: str
    changes: tuple[Change, ...]
    unknown: tuple[str, ...] = ()

    @property
    def differing(self) -> tuple[Change, ...]:
        """Only what is not the same; nothing can be told while one side is unknown."""
        return tuple(each for each in self.changes if each.standing != "same") if not self.unknown else ()


@dataclass(frozen=True, slots=True)
class DataDifference:
    """A data set of either version. ``standing`` is ``added``, ``dropped`` or ``same``; ``other_version_of`` names the
    data set of the other side that is a version of the same one, empty when there is none."""

    dataset: Dataset
    standing: str
    other_version_of: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """``version`` is what is looked at, ``other`` what it is compared with."""

    version: ModelVersion
    other: ModelVersion
    metrics: tuple[Metric, ...]
    parameters: Part
    data: tuple[DataDifference, ...]
    data_unknown: tuple[str, ...]
    features: Part
    dependencies: Part
    evidence: tuple[signals.Evidence, ...]
    conclusion: str


def compare(version: ModelVersion, other: ModelVersion) -> Difference:
    """Everything that the registry knows of both. Six queries, and those of whoever keeps explanations."""
    runs = {row.run_id: row for row in Run.objects.filter(run_id__in={version.run_id, other.run_id} - {""})}
    both = (other, version)
    metrics = tuple(compare_metrics(other.metrics, version.metrics))
    parameters = _part("parameters", both, [_params(runs.get(each.run_id)) for each in both])
    data, data_unknown = _data(both)
    features = _part("features", both, [features_of(each.schema) for each in both])
    dependencies = _part("dependencies", both, [_needs(each) for each in both])
    return Difference(
        version=version,
        other=other,
        metrics=metrics,
        parameters=parameters,
        data=data,
        data_unknown=data_unknown,
        features=features,
        dependencies=dependencies,
        evidence=_evidence(both),
        conclusion=_conclusion(both, metrics, (data, data_unknown), (parameters, features, dependencies)),
    )


def _part(name: str, both: tuple[ModelVersion, ModelVersion], sides: Sequence[Mapping[str, str] | None]) -> Part:
    unknown = tuple(version.label for version, side in zip(both, sides, strict=True) if side is None)
    before, after = (side or {} for side in sides)
    return Part(name, tuple(compare_texts(before, after)), unknown)


def _params(run: Run | None) -> dict[str, str] | None:
    """The parameters that the run logged; None without a run, and without any: a run that logs none says nothing."""
    return {str(key): str(value) for key, value in run.params.items()} if run is not None and run.params else None


def _needs(version: ModelVersion) -> dict[str, str] | None:
    if version.dependencies is None:
        return None
    return {each["name"]: each["version"] or each["requirement"] for each in version.dependencies}


def _data(both: tuple[ModelVersion, ModelVersion]) -> tuple[tuple[DataDifference, ...], tuple[str, ...]]:
    before, after = ({each.dataset.name: each.dataset for each in queries.lineage_closure(row)} for row in both)
    unknown = tuple(row.label for row, side in zip(both, (before, after), strict=True) if not side)
    kin = [{families.root_of(row.name, row.digest): row.name for row in side.values()} for side in (before, after)]
    found = []
    for name, row in sorted({**before, **after}.items()):
        standing = "same" if name in before and name in after else "added" if name in after else "dropped"
        across = kin[0] if standing == "added" else kin[1] if standing == "dropped" else {}
        found.append(DataDifference(row, standing, across.get(families.root_of(row.name, row.digest), "")))
    return tuple(found), unknown


def _evidence(both: tuple[ModelVersion, ModelVersion]) -> tuple[signals.Evidence, ...]:
    answers: list[tuple[Any, Any]] = signals.evidence_asked.send(sender=ModelVersion, versions=both)
    return tuple(each for _receiver, answer in answers for each in answer or ())


def _conclusion(
    both: tuple[ModelVersion, ModelVersion],
    metrics: Sequence[Metric],
    data: tuple[Sequence[DataDifference], Sequence[str]],
    parts: Sequence[Part],
) -> str:
    """The first sentence of the page."""
    other, version = both
    clauses = [_metrics_said(metrics), _data_said(*data)]
    words = {
        "parameters": (_("the same parameters"), _("parameters unknown")),
        "features": (_("the same features"), _("features unknown")),
        "dependencies": (_("the same dependencies"), _("dependencies unknown")),
    }
    for part in parts:
        same, unknown = words[part.name]
        clauses.append(unknown if part.unknown else _counted(part) if part.differing else same)
    return _("%(version)s against %(other)s: %(clauses)s.") % {
        "version": version.label,
        "other": other.label,
        "clauses": "; ".join(clauses),
    }


def _metrics_said(metrics: Sequence[Metric]) -> str:
    count = {word: sum(each.verdict == word for each in metrics) for word in ("better", "worse", "changed")}
    said = []
    if count["better"]:
        said.append(ngettext("%(n)d metric better", "%(n)d metrics better", count["better"]) % {"n": count["better"]})
    if count["worse"]:
        said.append(ngettext("%(n)d metric worse", "%(n)d metrics worse", count["worse"]) % {"n": count["worse"]})
    if count["changed"]:
        said.append(
            ngettext("%(n)d metric changed", "%(n)d metrics changed", count["changed"]) % {"n": count["changed"]}
        )
    if said:
        return ", ".join(said)
    if any(each.verdict == "unchanged" for each in metrics):
        return _("the same metrics")
    return _("no metric that both have")


def _data_said(data: Sequence[DataDifference], unknown: Sequence[str]) -> str:
    if unknown:
        return _("data sets unknown")
    differing = sum(each.standing != "same" for each in data)
    if not differing:
        return _("the same data sets")
    return ngettext("%(n)d data set differs", "%(n)d data sets differ", differing) % {"n": differing}


def _counted(part: Part) -> str:
    n = len(part.differing)
    if part.name == "parameters":
        return ngettext("%(n)d parameter differs", "%(n)d parameters differ", n) % {"n": n}
    if part.name == "features":
        return ngettext("%(n)d feature differs", "%(n)d features differ", n) % {"n": n}
    return ngettext("%(n)d dependency differs", "%(n)d dependencies differ", n) % {"n": n}
