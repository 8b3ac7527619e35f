"""What is registered already, read at once: an import that finds nothing new costs a handful of queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry.models import Alias, Dataset, EdgeKind, LineageEdge, Model, ModelVersion


@dataclass(frozen=True, slots=True)
class KnownVersion:
    """The columns of a stored version that an import compares."""

    label: str
    source_uri: str
    run_id: str
    server: str


@dataclass(frozen=True, slots=True)
class Stored:
    """``versions`` by model and number; ``aliases`` by model: name -> number of the version it points at."""

    models: dict[str, Model]
    versions: dict[str, dict[int, KnownVersion]]
    aliases: dict[str, dict[str, int]]


def everything() -> Stored:
    """All models, versions and aliases. Three queries."""
    versions: dict[str, dict[int, KnownVersion]] = {}
    columns = ("model__name", "number", "source_uri", "run_id", "tracking_server")
    for name, number, source, run_id, server in ModelVersion.objects.order_by().values_list(*columns):
        versions.setdefault(name, {})[number] = KnownVersion(f"{name}/{number}", source, run_id, server)
    aliases: dict[str, dict[str, int]] = {}
    for name, alias, number in Alias.objects.order_by().values_list("model__name", "name", "version__number"):
        aliases.setdefault(name, {})[alias] = number
    return Stored({each.name: each for each in Model.objects.all()}, versions, aliases)


def inputs_of(runs: Iterable[str]) -> dict[str, set[str]]:
    """The subjects that each run is recorded to have read, by the run's id. One query."""
    subjects = [f"run:{run_id}" for run_id in runs]
    rows = LineageEdge.objects.filter(target__in=subjects, kind=EdgeKind.INPUT).order_by()
    found: dict[str, set[str]] = {}
    for source, target in rows.values_list("source", "target"):
        found.setdefault(target.removeprefix("run:"), set()).add(source)
    return found


def datasets_named(names: Iterable[str]) -> dict[str, Dataset]:
    """The registered data sets among ``names``. One query."""
    return {each.name: each for each in Dataset.objects.filter(name__in=set(names))}
