"""From a layout to the numbers of an SVG: boxes, curves and a view box in CSS pixels. No Django, no markup."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from registry.lineage.graph import Edge, paths
from registry.lineage.layout import Layout, Route, arrange

NODE_WIDTH = 172
NODE_HEIGHT = 44
LAYER_GAP = 44
ROW_GAP = 18
MARGIN = 8
#: Characters that fit on a line of a box, by the widths of the two sizes of type.
NAME_LENGTH = 18
NOTE_LENGTH = 23


@dataclass(frozen=True, slots=True)
class Label:
    """What a box says: a name, a smaller line above it, and its kind picks the colour, ``more`` is for the title."""

    name: str
    note: str
    kind: str
    more: str = ""
    #: Subjects that the box stands for, when there are several.
    members: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Box:
    """A node's rectangle; ``name`` and ``note`` are cut to fit, ``title`` is in full."""

    subject: str
    x: float
    y: float
    width: int
    height: int
    name: str
    note: str
    title: str
    kind: str
    focus: bool
    #: On the path between the focus and the sources or targets: drawn stronger than siblings.
    related: bool
    members: tuple[str, ...] = ()

    @property
    def text_x(self) -> float:
        return self.x + 15

    @property
    def behind_x(self) -> float:
        """The second rectangle of a box that stands for several."""
        return self.x + 4

    @property
    def behind_y(self) -> float:
        return self.y + 4

    @property
    def name_y(self) -> float:
        return self.y + 34

    @property
    def note_y(self) -> float:
        return self.y + 17


@dataclass(frozen=True, slots=True)
class Curve:
    """An edge as the ``d`` of an SVG path."""

    edge: Edge
    d: str
    related: bool


@dataclass(frozen=True, slots=True)
class Drawing:
    """Everything the template needs; ``width`` and ``height`` bound it."""

    boxes: tuple[Box, ...]
    curves: tuple[Curve, ...]
    width: float
    height: float


def draw(labels: dict[str, Label], edges: Iterable[Edge], focus: str) -> Drawing:
    """The picture of ``labels``' nodes and the edges among them. An edge that closes a circle runs back."""
    listed = tuple(edges)
    layout = arrange(labels, listed)
    related = frozenset(paths(listed, focus, "both"))
    boxes = tuple(_box(place.node, place.layer, place.y, labels, focus, related) for place in layout.places)
    curves = tuple(
        Curve(route.edge, _curve(route), route.edge.source in related and route.edge.target in related)
        for route in layout.routes
    )
    width, height = _size(layout)
    return Drawing(boxes, curves, width, height)


def shortened(text: str, limit: int) -> str:
    """``text``, its middle replaced by an ellipsis when it is longer: the ends of names tell them apart."""
    if len(text) <= limit:
        return text
    head = (limit - 1) * 2 // 3
    return f"{text[:head]}…{text[len(text) - (limit - 1 - head) :]}"


def _box(node: str, layer: int, y: float, labels: dict[str, Label], focus: str, related: frozenset[str]) -> Box:
    label = labels[node]
    return Box(
        subject=node,
        x=_x(layer),
        y=_y(y),
        width=NODE_WIDTH,
        height=NODE_HEIGHT,
        name=shortened(label.name, NAME_LENGTH),
        note=shortened(label.note, NOTE_LENGTH),
        title=" · ".join(part for part in (label.name, label.note, label.more) if part),
        kind=label.kind,
        focus=node == focus,
        related=node in related,
        members=label.members,
    )


def _curve(route: Route) -> str:
    """A path that leaves and enters boxes level and passes between layers in one bend; leftwards when it runs back."""
    half = NODE_HEIGHT / 2
    (first_layer, first_y), *rest = route.points
    back = route.points[-1][0] < first_layer
    out, into, room = (0, NODE_WIDTH, 7) if back else (NODE_WIDTH, 0, -7)
    x, y = _x(first_layer) + out, _y(first_y) + half
    parts = [f"M{_n(x)} {_n(y)}"]
    for number, (layer, row) in enumerate(rest):
        to_x, to_y = _x(layer) + into, _y(row) + half
        last = number == len(rest) - 1
        tip = to_x + room if last else to_x  # room for the arrowhead
        bend = (tip - x) / 2
        parts.append(f"C{_n(x + bend)} {_n(y)} {_n(tip - bend)} {_n(to_y)} {_n(tip)} {_n(to_y)}")
        x, y = tip, to_y
        if not last:
            x = _x(layer) + out
            parts.append(f"H{_n(x)}")
    return "".join(parts)


def _size(layout: Layout) -> tuple[float, float]:
    if not layout.places:
        return 2.0 * MARGIN, 2.0 * MARGIN
    width = 2 * MARGIN + layout.layers * NODE_WIDTH + (layout.layers - 1) * LAYER_GAP
    return float(width), round(2 * MARGIN + layout.height * (NODE_HEIGHT + ROW_GAP) - ROW_GAP, 1)


def _x(layer: int) -> float:
    return float(MARGIN + layer * (NODE_WIDTH + LAYER_GAP))


def _y(row: float) -> float:
    return round(MARGIN + row * (NODE_HEIGHT + ROW_GAP), 1)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
