"""Lineage with what hangs on it: from data sets and runs over versions to deployments and explanations."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from audit.refusals import NotKnown
from registry.lineage import attached, reach
from registry.lineage.graph import Edge, along, shortest_paths
from registry.queries import subjects_known


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways from ``source`` to ``target``: ``edges`` is every edge on any of them, ``paths`` some shortest ones.

    ``distance`` counts edges; None when there is no way.
    """

    source: str
    target: str
    distance: int | None
    paths: tuple[tuple[str, ...], ...]
    edges: tuple[Edge, ...]


def closure(focus: str, direction: reach.Way) -> list[str]:
    """Every subject that lies ``direction`` of ``focus``, itself included, in no order; each once.

    One query for the lineage and one for each kind of what hangs on versions. Raises ``NotKnown``.
    """
    version = attached.owner(focus)
    if direction == "upstream":
        nodes = reach.nodes_reached([version or focus], "upstream")
        found = [focus, *nodes] if version else nodes
    else:
        found = [focus] if version else reach.nodes_reached([focus], "downstream")
        found += [edge.target for edge in attached.edges(found)]
    if len(found) == 1 and not version:
        _must_be_known(focus)
    return found


def ways(source: str, target: str, *, limit: int) -> Ways:
    """How data got from ``source`` to ``target``. Raises ``NotKnown`` when the registry has one of them not at all."""
    version = attached.owner(target)
    edges = list(reach.edges_between(source, version or target)) if not attached.owner(source) else []
    if version and (edges or source == version):
        edges.append(next(edge for edge in attached.edges([version]) if edge.target == target))
    if not edges:
        for subject in (source, target):
            if not attached.owner(subject):
                _must_be_known(subject)
    paths = shortest_paths(edges, source, target, limit)
    return Ways(source, target, len(paths[0]) - 1 if paths else None, paths, along(edges, source, target))


def _must_be_known(subject: str) -> None:
    if subjects_known([subject]) or len(reach.nodes_reached([subject], "upstream")) > 1:
        return
    if len(reach.nodes_reached([subject], "downstream")) > 1:
        return
    raise NotKnown(_("Nothing called “%(focus)s” is in the lineage.") % {"focus": subject[:160]}, code="lineage.focus")
