"""The candidate beside what serves now: metrics, data, residency. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from registry import queries as registry_queries
from registry.comparison import Metric, compare_metrics
from registry.deployments import Serving, serving
from registry.models import Environment, ModelVersion


@dataclass(frozen=True, slots=True)
class DataChange:
    """A data set of either version. ``standing`` is ``both``, ``added`` (candidate only) or ``dropped``;
    empty when nothing serves to compare with."""

    subject: str
    standing: str
    regions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """``live`` is None when nothing of the model serves there: then there is nothing to compare with."""

    live: Serving | None
    metrics: Sequence[Metric]
    data: Sequence[DataChange]


def compare(
    version: ModelVersion, environment: Environment, facts: Mapping[str, Any], *, at: datetime | None = None
) -> Comparison:
    """Against the version that takes most of the traffic there, or took it at ``at``. ``facts`` are the candidate's.

    Two or four queries: what serves; and, when something does, its lineage.
    """
    serves = serving(environment, version.model, at)
    live = max(serves, key=lambda each: each.share, default=None)
    if live is not None and live.version.pk == version.pk:
        others = [each for each in serves if each.version.pk != version.pk]
        live = max(others, key=lambda each: each.share, default=live)
    candidate_data = _regions_of(facts)
    live_data: dict[str, tuple[str, ...]] = {}
    if live is not None:
        reached = registry_queries.lineage_closure(live.version)
        live_data = {each.dataset.subject: tuple(each.dataset.regions) for each in reached}
    return Comparison(
        live=live,
        metrics=compare_metrics(live.version.metrics if live else {}, version.metrics),
        data=_data(live_data, candidate_data, known=live is not None),
    )


def _regions_of(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for flow in facts.get("flows", []):
        if flow["kind"] == "dataset":
            region = str(flow["claimed_region"] or flow["region"])
            found[str(flow["subject"])] = (*found.get(str(flow["subject"]), ()), region)
    return found


def _data(
    live: Mapping[str, tuple[str, ...]], candidate: Mapping[str, tuple[str, ...]], *, known: bool
) -> list[DataChange]:
    def standing(subject: str) -> str:
        if not known:
            return ""
        if subject in live and subject in candidate:
            return "both"
        return "added" if subject in candidate else "dropped"

    subjects: Iterable[str] = sorted({*live, *candidate})
    return [DataChange(each, standing(each), candidate.get(each) or live.get(each) or ()) for each in subjects]
