"""What the lineage page draws: the graph around a subject or between two, look-alikes folded, and a label for each."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from registry import queries
from registry.lineage import reach
from registry.lineage.drawing import Drawing, Label, draw
from registry.lineage.folding import fold
from registry.lineage.graph import Direction, Edge, paths
from registry.models import Classification, Dataset, EdgeKind, Run

#: With more nodes than these look-alikes are folded unless asked otherwise.
FOLD_ABOVE = 40
#: More boxes are not drawn: nobody reads them, and the table has every edge.
MOST_BOXES = 500
#: Rows of the table; the API answers all.
MOST_EDGES = 1_000


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing (None: too many boxes) and the edges that it shows, unfolded."""

    focus: str
    name: str
    drawing: Drawing | None
    edges: tuple[Edge, ...]
    nodes: int
    folded: bool

    @property
    def sentences(self) -> list[tuple[str, str, str]]:
        """The edges as source, verb and target."""
        return [(edge.source, str(EdgeKind(edge.kind).label), edge.target) for edge in self.edges[:MOST_EDGES]]

    @property
    def left_out(self) -> int:
        """How many edges the table leaves out."""
        return max(0, len(self.edges) - MOST_EDGES)


def picture_of(
    focus: str, direction: Direction, depth: int, *, folding: bool | None = None, opened: Iterable[str] = ()
) -> Picture:
    """The lineage within ``depth`` steps of ``focus``. At most four queries. ``folding`` None: when there are many."""
    return _picture(focus, queries.edges_from(focus, direction, depth), frozenset({focus}), folding, opened)


def picture_between(
    focus: str, other: str, *, folding: bool | None = None, opened: Iterable[str] = ()
) -> tuple[Picture, tuple[str, ...]]:
    """Everything on any way between the two, and one shortest way; both empty of edges when there is none."""
    edges = reach.edges_between(focus, other) or reach.edges_between(other, focus)
    way = paths(edges, focus, "both").get(other, ())
    return _picture(focus, edges, frozenset({focus, other}), folding, opened), way


def _picture(
    focus: str, edges: tuple[Edge, ...], alone: frozenset[str], folding: bool | None, opened: Iterable[str]
) -> Picture:
    nodes = alone | {end for edge in edges for end in (edge.source, edge.target)}
    labels = _labels(nodes)
    name, shown, folded = labels[focus].name, edges, False
    if folding if folding is not None else len(nodes) > FOLD_ABOVE:
        result = fold(nodes, edges, alone, frozenset(opened))
        shown, folded = result.edges, bool(result.members)
        hidden = {each for together in result.members.values() for each in together}
        labels = {node: label for node, label in labels.items() if node not in hidden} | {
            box: _folded(together, labels) for box, together in result.members.items()
        }
    drawing = draw(labels, shown, focus) if len(labels) <= MOST_BOXES else None
    return Picture(focus, name, drawing, edges, len(nodes), folded)


def _folded(members: tuple[str, ...], labels: dict[str, Label]) -> Label:
    count, first = len(members), labels[members[0]]
    words = {
        "dataset": ngettext("%(n)d data set", "%(n)d data sets", count),
        "run": ngettext("%(n)d training run", "%(n)d training runs", count),
        "version": ngettext("%(n)d model version", "%(n)d model versions", count),
    }
    kind = members[0].partition(":")[0]
    names = ", ".join(labels[each].name for each in members[:20])
    note = first.note if len({labels[each].note for each in members}) == 1 else _("of several kinds")
    return Label(words.get(kind, kind) % {"n": count}, note, first.kind, names + ("…" if count > 20 else ""), members)


def _labels(nodes: frozenset[str] | set[str]) -> dict[str, Label]:
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
