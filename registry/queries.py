"""Read models: what pages, the API and governance's fact collector ask of the registry. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, OuterRef, Prefetch, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from audit.refusals import BadInput, NotKnown
from registry.lineage import reach
from registry.lineage.graph import Direction, Edge, deepest, paths
from registry.models import Alias, Dataset, Deployment, Endpoint, Environment, LineageEdge, Model, ModelVersion, Run

#: One level per edge; a chain longer than this is refused rather than cut: a cut closure would hide a data set.
MAX_DEPTH = 200

#: Nodes within so many steps: a node stands there once for each distance at which it lies, so depth bounds the work.
_NEAR = """
WITH RECURSIVE walk(node, depth) AS (
    SELECT unnest(%(focus)s::text[]), 0
  UNION
    SELECT e.{far}::text, w.depth + 1 FROM walk w JOIN registry_lineageedge e ON e.{near} = w.node
    WHERE w.depth < %(limit)s - 1
)
SELECT e.source, e.target, e.kind FROM (SELECT DISTINCT node FROM walk) w
JOIN registry_lineageedge e ON e.{near} = w.node ORDER BY 1, 2, 3
"""


@dataclass(frozen=True, slots=True)
class Reached:
    """A data set of the closure of a version. ``path`` lists subjects from the version to it, both included."""

    dataset: Dataset
    path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Flow:
    """One place that data of a version reaches: what the residency rules quantify over.

    ``kind`` is ``dataset`` or a kind of ``Environment.places``. ``region`` is ``provider:region``, for support access
    ``country:XX``, empty when unknown. ``classification`` and ``jurisdictions`` are the data set's; else those of the
    whole closure (the strictest classification, all jurisdictions). Unknown facts are listed in ``unknown``: a gate
    denies on any.
    """

    subject: str
    kind: str
    region: str
    classification: str
    personal: bool
    sensitive: bool
    jurisdictions: tuple[str, ...]
    path: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class VersionDetail:
    """A version with everything that its page and a gate read."""

    version: ModelVersion
    aliases: tuple[str, ...]
    run: Run | None
    endpoints: tuple[Endpoint, ...]
    deployments: tuple[Deployment, ...]
    closure: tuple[Reached, ...]


def edges_from(focus: str | Sequence[str], direction: Direction, depth: int | None = None) -> tuple[Edge, ...]:
    """The edges within ``depth`` steps of ``focus`` (default: all), one recursive query per direction.

    Raises ``BadInput`` when a closure is deeper than ``MAX_DEPTH``.
    """
    if direction == "both":
        return tuple(sorted({*edges_from(focus, "upstream", depth), *edges_from(focus, "downstream", depth)}))
    names = [focus] if isinstance(focus, str) else list(focus)
    if depth is None:
        found = reach.edges_reached(names, direction)
        if len(names) == 1 and deepest(found, names[0], direction) > MAX_DEPTH:
            raise BadInput(
                _("The lineage of %(focus)s is deeper than %(limit)d steps.") % {"focus": names[0], "limit": MAX_DEPTH},
                code="lineage.too_deep",
            )
        return found
    if depth < 1:
        return ()
    near, far = reach.ENDS[direction]
    with connection.cursor() as cursor:
        cursor.execute(_NEAR.format(near=near, far=far), {"focus": names, "limit": depth})
        return tuple(Edge(*row) for row in cursor.fetchall())


def edges_at(nodes: Iterable[str]) -> tuple[Edge, ...]:
    """Every edge that begins or ends at one of ``nodes``. One query."""
    listed = list(nodes)
    rows = LineageEdge.objects.filter(Q(source__in=listed) | Q(target__in=listed)) if listed else ()
    return tuple(Edge(row.source, row.target, row.kind) for row in rows)


def lineage_closure(version: ModelVersion) -> tuple[Reached, ...]:
    """Every data set that the version learned from, directly or not, nearest first. Two queries."""
    found = paths(edges_from(version.subject, "upstream"), version.subject, "upstream")
    names = {subject.partition(":")[2]: trail for subject, trail in found.items() if subject.startswith("dataset:")}
    datasets = Dataset.objects.filter(name__in=names)
    reached = [Reached(dataset, names[dataset.name]) for dataset in datasets]
    return tuple(sorted(reached, key=lambda each: (len(each.path), each.dataset.name)))


_STRICTNESS = ("none", "personal", "special", "sensitive", "unknown")


def flows(
    version: ModelVersion, environment: Environment, closure: Sequence[Reached] | None = None
) -> tuple[Flow, ...]:
    """Where the data of ``version`` are when it serves in ``environment``: each data set in each of its regions, and
    every place of the environment.

    A data set without a region gives one flow with an empty region and the fact in ``unknown``. A version without any
    data set gives serving and log flows whose classification is unknown: no lineage is not "not personal".
    """
    reached = lineage_closure(version) if closure is None else tuple(closure)
    result = [flow for each in reached for flow in _dataset_flows(each)]
    datasets = [each.dataset for each in reached]
    strictest = max((each.classification for each in datasets), key=_STRICTNESS.index, default="unknown")
    jurisdictions = tuple(sorted({code for each in datasets if each.is_personal for code in each.subjects}))
    unknown = tuple(
        sorted({fact for each in datasets for fact in each.unknown_facts if fact != "regions"})
        if datasets
        else ("lineage",)
    )
    places = [(kind, each) for kind, ids in environment.places.items() for each in ([""] if ids is None else ids)]
    for kind, region in places:
        result.append(
            Flow(
                subject=environment.subject,
                kind=kind,
                region=region,
                classification=strictest,
                personal=strictest != "none",
                sensitive=strictest in ("sensitive", "special", "unknown"),
                jurisdictions=jurisdictions,
                path=(version.subject, environment.subject),
                unknown=unknown if region else tuple(sorted({*unknown, "regions"})),
            )
        )
    return tuple(result)


def _dataset_flows(reached: Reached) -> list[Flow]:
    dataset = reached.dataset
    return [
        Flow(
            subject=dataset.subject,
            kind="dataset",
            region=region,
            classification=dataset.classification,
            personal=dataset.is_personal,
            sensitive=dataset.classification in ("sensitive", "special", "unknown"),
            jurisdictions=tuple(dataset.subjects),
            path=reached.path,
            unknown=dataset.unknown_facts,
        )
        for region in (dataset.regions or [""])
    ]


def version_by_subject(subject: str) -> ModelVersion:
    """``version:credit-scoring/14`` -> its row, model included. Raises ``NotKnown``."""
    kind, _colon, label = subject.partition(":")
    name, _slash, number = label.rpartition("/")
    found = None
    if kind == "version" and number.isascii() and number.isdigit() and len(number) < 10:
        found = ModelVersion.objects.select_related("model").filter(model__name=name, number=int(number)).first()
    if found is None:
        raise NotKnown(
            _("There is no model version “%(subject)s” in the registry.") % {"subject": subject[:160]},
            code="version.unknown",
        )
    return found


def version_detail(version: ModelVersion) -> VersionDetail:
    """Six queries, whatever the size."""
    return VersionDetail(
        version=version,
        aliases=tuple(version.aliases.values_list("name", flat=True)),
        run=Run.objects.filter(run_id=version.run_id).first() if version.run_id else None,
        endpoints=tuple(version.endpoints.select_related("environment")),
        deployments=tuple(Deployment.objects.with_names().filter(version=version)[:50]),
        closure=lineage_closure(version),
    )


def with_newest(rows: QuerySet[Model]) -> QuerySet[Model]:
    """Models with the number of their newest version (``newest``), aliases and what serves (``open_deployments``):
    three queries for any number of models, and one look into an index for each, however many versions it has.
    """
    newest = ModelVersion.objects.filter(model=OuterRef("pk")).order_by("-number").values("number")[:1]
    return rows.annotate(newest=Subquery(newest)).prefetch_related(
        Prefetch("aliases", queryset=Alias.objects.select_related("version", "model")),
        Prefetch("deployments", queryset=_serving(), to_attr="open_deployments"),
    )


def with_served(rows: QuerySet[Environment]) -> QuerySet[Environment]:
    """Environments with the number of deployments that serve there (``served``)."""
    opened = Deployment.objects.open().filter(environment=OuterRef("pk")).order_by()
    counted = opened.values("environment").annotate(n=Count("pk")).values("n")
    return rows.annotate(served=Coalesce(Subquery(counted), 0))


_NEWEST_OPEN = """
SELECT d.id FROM unnest(%s::bigint[]) AS e (id) CROSS JOIN LATERAL (
    SELECT id FROM registry_deployment WHERE environment_id = e.id AND until IS NULL
    ORDER BY since DESC, id DESC LIMIT %s) AS d
"""


def served_in(environments: Iterable[Environment], most: int) -> dict[int, list[Deployment]]:
    """The newest ``most`` deployments that serve in each of the environments, by its key. Two queries."""
    found: dict[int, list[Deployment]] = {each.pk: [] for each in environments}
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_OPEN, [list(found), most])
        ids = [row[0] for row in cursor.fetchall()]
    for row in Deployment.objects.with_names().filter(pk__in=ids):
        found[row.environment_id].append(row)
    return found


def _serving() -> QuerySet[Deployment]:
    return Deployment.objects.with_names().open().order_by("environment__slug", "-since")


def versions_of(model: Model) -> QuerySet[ModelVersion]:
    """The versions of a model, newest first, with aliases and open deployments."""
    return (
        ModelVersion.objects.filter(model=model)
        .select_related("model")
        .prefetch_related(
            "aliases",
            Prefetch("deployments", queryset=Deployment.objects.with_names().open(), to_attr="open_deployments"),
        )
        .order_by("-number")
    )


_LABELLED = """
SELECT v.id FROM unnest(%s::text[], %s::int[]) AS wanted (name, number)
JOIN registry_model m ON m.name = wanted.name
JOIN registry_modelversion v ON v.model_id = m.id AND v.number = wanted.number
"""


def versions_from_dataset(dataset: Dataset) -> tuple[ModelVersion, ...]:
    """Every version that learned from the data set, directly or not. Three queries."""
    edges = edges_from(dataset.subject, "downstream")
    labels = [
        subject.partition(":")[2].rpartition("/")
        for subject in paths(edges, dataset.subject, "downstream")
        if subject.startswith("version:")
    ]
    if not labels:
        return ()
    with connection.cursor() as cursor:
        cursor.execute(_LABELLED, [[name for name, _slash, _number in labels], [int(each[2]) for each in labels]])
        ids = [row[0] for row in cursor.fetchall()]
    return tuple(ModelVersion.objects.select_related("model").filter(pk__in=ids))


def subjects_known(subjects: Iterable[str]) -> frozenset[str]:
    """Those of ``subjects`` that stand for a row: lineage may name what was removed since."""
    wanted: dict[str, set[str]] = {"dataset": set(), "run": set(), "version": set()}
    for subject in subjects:
        kind, _colon, name = subject.partition(":")
        if kind in wanted:
            wanted[kind].add(name)
    known = {
        f"dataset:{name}" for name in Dataset.objects.filter(name__in=wanted["dataset"]).values_list("name", flat=True)
    }
    known |= {f"run:{name}" for name in Run.objects.filter(run_id__in=wanted["run"]).values_list("run_id", flat=True)}
    models_named = {label.rpartition("/")[0] for label in wanted["version"]}
    rows = ModelVersion.objects.filter(model__name__in=models_named).values_list("model__name", "number")
    known |= {f"version:{name}/{number}" for name, number in rows if f"{name}/{number}" in wanted["version"]}
    return frozenset(known)
