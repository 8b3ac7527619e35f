"""The candidate beside what serves now: metrics, data, residency, explanations. Reads only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from explain.models import ExplanationJob, Method
from explain.queries import newest_finished
from governance import wording
from registry import queries as registry_queries
from registry.comparison import Metric, compare_metrics
from registry.deployments import Serving, serving
from registry.models import Environment, ModelVersion

#: What a data set's row says, the worst first.
_WORST = ("failed", "waived", "passed")
_WORDS = {"pass": "passed", "fail": "waived"}  # a failure that is no problem is excused


@dataclass(frozen=True, slots=True)
class DataChange:
    """A data set of either version. ``standing`` is ``both``, ``added`` (candidate only) or ``dropped``; empty when
    nothing serves to compare with. ``lawful`` is what the candidate's decision found about it: a word of
    ``config.states``, or empty when no rule asked.
    """

    subject: str
    standing: str
    regions: tuple[str, ...]
    lawful: str = ""


@dataclass(frozen=True, slots=True)
class Explained:
    """The newest finished explanation of each version by one method; None where there is none."""

    method: str
    live: ExplanationJob | None
    candidate: ExplanationJob | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """``live`` is None when nothing of the model serves there: then there is nothing to compare with."""

    live: Serving | None
    metrics: Sequence[Metric]
    data: Sequence[DataChange]
    explained: Sequence[Explained]


def compare(
    version: ModelVersion,
    environment: Environment,
    facts: Mapping[str, Any],
    *,
    findings: Sequence[Mapping[str, Any]] = (),
    at: datetime | None = None,
) -> Comparison:
    """Against the version that takes most of the traffic there, or took it at ``at``. ``facts`` and ``findings`` are
    those of the candidate's decision.

    Three or five queries: what serves, what was explained; and, when something serves, its lineage.
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
        data=_data(live_data, candidate_data, _lawful(findings), known=live is not None),
        explained=_explained(live.version if live else None, version),
    )


def _explained(live: ModelVersion | None, candidate: ModelVersion) -> list[Explained]:
    found = newest_finished([candidate.pk, *([live.pk] if live else [])])
    return [
        Explained(
            str(method.label),
            found.get((live.pk, method.value)) if live else None,
            found.get((candidate.pk, method.value)),
        )
        for method in Method
    ]


def _lawful(findings: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Subject -> the worst that was found about it. What is only lawful by a safeguard or a waiver says so."""
    worst: dict[str, str] = {}
    for each in findings:
        word = "failed" if wording.is_problem(each) else "waived" if each["waived_by"] else _WORDS.get(each["outcome"])
        if word:
            subject = str(each["subject"])
            worst[subject] = min(worst.get(subject, word), word, key=_WORST.index)
    return worst


def _regions_of(facts: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for flow in facts.get("flows", []):
        if flow["kind"] == "dataset":
            region = str(flow["claimed_region"] or flow["region"])
            found[str(flow["subject"])] = (*found.get(str(flow["subject"]), ()), region)
    return found


def _data(
    live: Mapping[str, tuple[str, ...]],
    candidate: Mapping[str, tuple[str, ...]],
    lawful: Mapping[str, str],
    *,
    known: bool,
) -> list[DataChange]:
    def standing(subject: str) -> str:
        if not known:
            return ""
        if subject in live and subject in candidate:
            return "both"
        return "added" if subject in candidate else "dropped"

    subjects: Iterable[str] = sorted({*live, *candidate})
    return [
        DataChange(
            each,
            standing(each),
            candidate.get(each) or live.get(each) or (),
            lawful.get(each, "") if each in candidate else "",
        )
        for each in subjects
    ]
