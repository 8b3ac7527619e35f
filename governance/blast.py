"""What something reached: versions, signatures on them, where, when and under which law they served, explanations.

Reads only, in a fixed number of queries whatever the size. Deployments count by their window: those that served at any
moment from ``since`` until now. Versions, signatures and explanations count whenever they were made.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.refusals import BadInput
from explain import queries as explain_queries
from explain.models import ExplanationJob
from governance import queries
from governance.models.signoff import SignOff
from registry import regions
from registry.lineage import reach, roots
from registry.lineage.graph import trail, tree
from registry.models import Dataset, Deployment, Environment, ModelVersion


@dataclass(frozen=True, slots=True)
class Window:
    """A deployment that served at some moment between ``since`` and now."""

    deployment: Deployment
    path: tuple[str, ...]

    @property
    def live(self) -> bool:
        """True while it takes traffic."""
        return self.deployment.until is None

    @property
    def countries(self) -> tuple[str, ...]:
        """ISO 3166 codes of the regions that served or kept its logs, sorted; a region nobody knows is ``?``."""
        return countries_of(self.deployment.environment)


@dataclass(frozen=True, slots=True)
class Signature:
    """A person's word on a version that was reached; ``name`` is what they are called now."""

    row: SignOff
    version: str
    name: str


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """Everything that ``root`` reached. Paths lead from the root to what was reached, both included.

    ``unsaid`` are versions that may need the library which was asked about: nobody said what they need.
    """

    root: str
    since: datetime | None
    at: datetime
    data_sets: tuple[tuple[Dataset, tuple[str, ...]], ...]
    runs: tuple[tuple[str, tuple[str, ...]], ...]
    versions: tuple[tuple[ModelVersion, tuple[str, ...]], ...]
    windows: tuple[Window, ...]
    signatures: tuple[Signature, ...]
    explanations: tuple[ExplanationJob, ...]
    unsaid: tuple[str, ...] = ()

    @property
    def live(self) -> tuple[Window, ...]:
        """Those that serve now."""
        return tuple(each for each in self.windows if each.live)

    @property
    def environments(self) -> tuple[Environment, ...]:
        """Every place where something of it served, by slug."""
        found = {each.deployment.environment.slug: each.deployment.environment for each in self.windows}
        return tuple(found[slug] for slug in sorted(found))

    @property
    def perimeters(self) -> tuple[str, ...]:
        """The laws that governed where it served, sorted."""
        return tuple(sorted({each.perimeter for each in self.environments}))

    @property
    def laws(self) -> tuple[str, ...]:
        """The same in words."""
        return tuple(sorted({each.get_perimeter_display() for each in self.environments}))

    @property
    def people(self) -> tuple[str, ...]:
        """Jurisdictions of the people in the data sets that were reached, sorted; ``unknown`` when one does not say."""
        told = {code for row, _path in self.data_sets if row.is_personal for code in (row.subjects or ["unknown"])}
        return tuple(sorted(told))


def countries_of(environment: Environment) -> tuple[str, ...]:
    """Where an environment serves and keeps its logs."""
    found = set()
    for region in {*environment.regions, *environment.log_sinks}:
        try:
            found.add(regions.lookup(region).country)
        except BadInput:
            found.add("?")
    return tuple(sorted(found))


def radius(subject: str, *, since: datetime | None = None) -> BlastRadius:
    """What ``subject`` (dataset:, run:, version:, model:, region: or library:) reached. At most ten queries.

    Raises what ``roots.of`` raises, and ``BadInput`` for a moment without a zone or in the future.
    """
    now = timezone.now()
    _must_be_past(since, now)
    found = roots.of(subject)
    ways = _ways(found)
    paths = {row: ways[row.subject] for row in _versions(ways)}
    windows = _windows(paths, found, since)
    reached_here = {each.deployment.version: each.path for each in windows if each.deployment.version not in paths}
    versions = {**paths, **reached_here}
    return BlastRadius(
        root=subject,
        since=since,
        at=now,
        data_sets=_data_sets(ways),
        runs=tuple((node, ways[node]) for node in sorted(ways) if node.startswith("run:")),
        versions=tuple(sorted(versions.items(), key=lambda each: (each[0].model.name, each[0].number))),
        windows=windows,
        signatures=_signatures(versions),
        explanations=_explanations(versions),
        unsaid=found.unsaid,
    )


def _must_be_past(since: datetime | None, now: datetime) -> None:
    sentence = ""
    if since is not None and timezone.is_naive(since):
        sentence = _("Give the moment with its offset from UTC.")
    elif since is not None and since > now:
        sentence = _("The moment lies in the future: nothing has served since then.")
    if sentence:
        raise BadInput(sentence, code="reach.since", fields={"since": sentence})


def _ways(found: roots.Roots) -> dict[str, tuple[str, ...]]:
    """Every subject downstream with the way to it; a model or a region stands before where the lineage is entered."""
    if not found.nodes:
        return {}
    before = tree(reach.edges_reached(found.nodes, "downstream"), found.nodes, "downstream")
    first = () if found.subject in found.nodes else (found.subject,)
    return {node: (*first, *trail(before, node)) for node in before}


def _labels(ways: Iterable[str], kind: str) -> set[str]:
    return {node.removeprefix(f"{kind}:") for node in ways if node.startswith(f"{kind}:")}


def _versions(ways: Mapping[str, tuple[str, ...]]) -> list[ModelVersion]:
    names = {label.rpartition("/")[0] for label in _labels(ways, "version")}
    rows = ModelVersion.objects.select_related("model").filter(model__name__in=names) if names else []
    return [row for row in rows if row.subject in ways]


def _data_sets(ways: Mapping[str, tuple[str, ...]]) -> tuple[tuple[Dataset, tuple[str, ...]], ...]:
    names = _labels(ways, "dataset")
    rows = Dataset.objects.filter(name__in=names).order_by("name") if names else []
    return tuple((row, ways[row.subject]) for row in rows)


def _windows(
    paths: Mapping[ModelVersion, tuple[str, ...]], found: roots.Roots, since: datetime | None
) -> tuple[Window, ...]:
    """Deployments of the versions anywhere, and of any version in the places that were asked about. Newest first."""
    rows = Deployment.objects.with_names()
    if since is not None:
        rows = rows.filter(until__isnull=True) | rows.filter(until__gt=since)
    reached = {row.pk: path for row, path in paths.items()}
    places = {each.pk: each.subject for each in found.environments}
    chosen: QuerySet[Deployment] = rows.filter(model__in={row.model_id for row in paths}) | rows.filter(
        environment__in=places
    )
    windows = []
    for row in chosen.order_by("-since", "-id"):
        way = reached.get(row.version_id)
        if way is None and row.environment_id in places:
            way = (found.subject, places[row.environment_id], row.version.subject)
        if way is not None:
            windows.append(Window(row, (*way, row.subject)))
    return tuple(windows)


def _signatures(versions: Mapping[ModelVersion, Any]) -> tuple[Signature, ...]:
    labels = {row.pk: row.subject for row in versions}
    rows: Sequence[SignOff] = []
    if labels:
        rows = [
            row
            for row in SignOff.objects.select_related("promotion__environment")
            .filter(promotion__version__model__in={each.model_id for each in versions})
            .order_by("id")
            if row.promotion.version_id in labels
        ]
    names = queries.names(row.signer for row in rows) if rows else {}
    return tuple(Signature(row, labels[row.promotion.version_id], names.get(row.signer, row.signer)) for row in rows)


def _explanations(versions: Mapping[ModelVersion, Any]) -> tuple[ExplanationJob, ...]:
    if not versions:
        return ()
    keys = {row.pk for row in versions}
    rows = explain_queries.jobs().filter(version__model__in={row.model_id for row in versions}).order_by("id")
    return tuple(row for row in rows if row.version_id in keys)
