"""The lineage page: a drawing whose nodes are links, and the table of the same edges."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _

from audit.refusals import BadInput
from registry import queries
from registry.lineage.drawing import Drawing, Label, draw
from registry.lineage.graph import Direction, Edge
from registry.models import Classification, Dataset, EdgeKind, Environment, ModelVersion, Run
from registry.pages.access import readable

DEPTHS = (1, 2, 3, 5)
DIRECTIONS: dict[str, Direction] = {"both": "both", "upstream": "upstream", "downstream": "downstream"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing and the edges that it shows."""

    focus: str
    name: str
    drawing: Drawing
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> int:
        """How many boxes."""
        return len(self.drawing.boxes)

    @property
    def sentences(self) -> list[tuple[str, str, str]]:
        """Each edge as source, verb and target."""
        return [(edge.source, str(EdgeKind(edge.kind).label), edge.target) for edge in self.edges]


def picture_of(focus: str, direction: Direction, depth: int) -> Picture:
    """The lineage within ``depth`` steps of ``focus``. At most four queries."""
    edges = queries.edges_from(focus, direction, depth)
    nodes = {focus} | {end for edge in edges for end in (edge.source, edge.target)}
    labels = _labels(nodes)
    return Picture(focus, labels[focus].name, draw(labels, edges, focus), edges)


def _labels(nodes: set[str]) -> dict[str, Label]:
    """What each box says; a node whose record is gone keeps its name."""
    names: dict[str, set[str]] = {"dataset": set(), "run": set()}
    for node in nodes:
        kind, _colon, rest = node.partition(":")
        names.setdefault(kind, set()).add(rest)
    known = {
        row.subject: Label(
            row.name,
            _classified(row),
            "unknown" if row.classification == Classification.UNKNOWN else "dataset",
            ", ".join(row.regions) or _("region unknown"),
        )
        for row in Dataset.objects.filter(name__in=names["dataset"])
    }
    known |= {
        row.subject: Label(row.name or row.run_id[:12], _("training run"), "run")
        for row in Run.objects.filter(run_id__in=names["run"])
    }
    return {node: known.get(node) or _unrecorded(node) for node in nodes}


def _classified(dataset: Dataset) -> str:
    """Short enough for a box."""
    return {
        Classification.PERSONAL.value: _("data · personal"),
        Classification.SENSITIVE.value: _("data · sensitive"),
        Classification.SPECIAL.value: _("data · special category"),
        Classification.NONE.value: _("data · not personal"),
    }.get(dataset.classification) or _("data · class unknown")


def _unrecorded(node: str) -> Label:
    kind, _colon, rest = node.partition(":")
    words = {"version": _("model version"), "dataset": _("data set, removed"), "run": _("run, removed")}
    return Label(rest or node, words.get(kind, kind), kind)


@readable
def lineage(request: HttpRequest) -> HttpResponse:
    """``?focus=&depth=&direction=``; without a focus, a choice of versions and data sets."""
    focus, refusal, picture = request.GET.get("focus", ""), None, None
    depth, direction = request.GET.get("depth", "2"), request.GET.get("direction", "both")
    if focus:
        try:
            picture = picture_of(_known(focus), _direction(direction), _depth(depth))
        except BadInput as caught:
            refusal = caught
    context = {
        "focus": focus,
        "depth": depth,
        "direction": direction,
        "depths": sorted({*map(str, DEPTHS), *([depth] if picture else [])}, key=int),
        "directions": [
            ("both", _("both ways")),
            ("upstream", _("where it came from")),
            ("downstream", _("what it reached")),
        ],
        "picture": picture,
        "refusal": refusal,
        "versions": ModelVersion.objects.select_related("model").order_by("model__name", "-number")[:200],
        "datasets": Dataset.objects.order_by("name")[:200],
    }
    return render(request, "registry/lineage.html", context, status=refusal.status if refusal else 200)


def _known(focus: str) -> str:
    kind, _colon, rest = focus.partition(":")
    if (
        kind in ("version", "dataset", "run")
        and rest
        and (queries.subjects_known([focus]) or queries.edges_from(focus, "both", 1))
    ):
        return focus
    if kind == "environment" and Environment.objects.filter(slug=rest).exists():
        raise BadInput(
            _("An environment has no lineage of its own: choose a version that serves in it."), code="lineage.focus"
        )
    raise BadInput(
        _("Nothing called “%(focus)s” is in the lineage; choose a version or a data set below.")
        % {"focus": focus[:160]},
        code="lineage.focus",
    )


def _direction(word: str) -> Direction:
    if word not in DIRECTIONS:
        raise BadInput(_("The direction is both, upstream or downstream."), code="lineage.direction")
    return DIRECTIONS[word]


def _depth(text: str) -> int:
    if text not in {str(each) for each in range(1, 11)}:
        raise BadInput(_("The depth is a whole number from 1 to 10."), code="lineage.depth")
    return int(text)
