"""The residency map: the flows of what serves, by the place where they are and the law that governs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_safe

from governance.api.residency import csv_of
from governance.pages.person import signed_in
from governance.residency import COVERED, UNCOVERED, WARNED, Flow, Residency, residency
from governance.wording import KINDS
from registry.jurisdictions import country_name
from registry.models import Perimeter

#: Deployments that the page decides, newest first; the files and the API decide all.
MOST_DECIDED = 100
#: Flows that the table lists, and that a cell of the map names.
MOST_LISTED, MOST_IN_CELL = 200, 5


@dataclass(frozen=True, slots=True)
class Cell:
    """What lies in one country under one law, the worst first. ``more`` flows are in the table only."""

    place: str
    law: str
    flows: Sequence[Flow]
    more: int
    uncovered: int


@require_safe
def residency_map(request: HttpRequest) -> HttpResponse:
    """A fixed number of queries, whatever serves."""
    signed_in(request, "promotion.read")
    found = residency(most=MOST_DECIDED)
    places = sorted({flow.country for flow in found.flows})  # the unknown place is empty, so it comes first
    laws = _laws(found.flows)
    grid = [(law_name(law), [_cell(found.flows, place, law) for place in places]) for law in laws]
    context = {
        "sentence": conclusion(found),
        "found": found,
        "places": [(place, place_name(place)) for place in places],
        "grid": grid,
        "listed": [(cell, place_name(cell.place)) for _law, cells in grid for cell in cells if cell.flows],
        "rows": [(flow, law_name(flow.perimeter)) for flow in found.flows[:MOST_LISTED]],
        "more": max(0, len(found.flows) - MOST_LISTED),
    }
    return render(request, "governance/residency.html", context)


@require_safe
def residency_file(request: HttpRequest) -> HttpResponseBase:
    """Every flow as CSV."""
    signed_in(request, "promotion.read")
    return csv_of(residency())


def conclusion(found: Residency) -> str:
    """The first sentence: what is not covered and what nobody could decide; then what a safeguard holds up."""
    said = []
    if found.undecided:
        text = ngettext(
            "%(n)d deployment could not be decided, so nobody knows where its data may be.",
            "%(n)d deployments could not be decided, so nobody knows where their data may be.",
            len(found.undecided),
        )
        said.append(text % {"n": len(found.undecided)})
    if bad := found.of(UNCOVERED):
        text = ngettext("%(n)d flow is not covered: %(which)s.", "%(n)d flows are not covered: %(which)s.", len(bad))
        said.append(text % {"n": len(bad), "which": _named(bad)})
    elif found.flows and not (found.undecided or found.skipped or found.of(WARNED)):
        said.append(_("Every flow of what serves is where its law wants it or covered by a safeguard."))
    elif not found.undecided:
        said.append(_("Nothing serves now, so no data lie anywhere because of it."))
    if covered := found.of(COVERED):
        text = ngettext("%(n)d is covered by a safeguard.", "%(n)d are covered by safeguards.", len(covered))
        said.append(text % {"n": len(covered)})
    return " ".join(said)


def _named(flows: Sequence[Flow]) -> str:
    """The first three, each with its kind and place."""
    told = [
        _("%(subject)s (%(kind)s) in %(place)s")
        % {"subject": flow.subject, "kind": KINDS.get(flow.kind, flow.kind), "place": region_name(flow)}
        for flow in flows[:3]
    ]
    if len(flows) > 3:
        told.append(_("%(n)d more") % {"n": len(flows) - 3})
    return ", ".join(told)


def region_name(flow: Flow) -> str:
    """Where it is, or that nobody knows with what is claimed."""
    if flow.region:
        return flow.region
    if flow.claimed:
        return _("%(region)s, which is not confirmed") % {"region": flow.claimed}
    return _("an unknown place")


def place_name(country: str) -> str:
    """What a column is called."""
    return country_name(country) if country else _("Nobody knows where")


def law_name(perimeter: str) -> str:
    """What a row is called."""
    return str(Perimeter(perimeter).label) if perimeter in Perimeter.values else _("Nobody said which law")


def _laws(flows: Sequence[Flow]) -> list[str]:
    """The laws in the order of the list of perimeters, after those that nobody knows."""
    order = {name: number for number, name in enumerate(Perimeter.values)}
    return sorted({flow.perimeter for flow in flows}, key=lambda name: order.get(name, -1))


def _cell(flows: Sequence[Flow], place: str, law: str) -> Cell:
    here = [flow for flow in flows if (flow.country, flow.perimeter) == (place, law)]
    bad = sum(flow.state == UNCOVERED for flow in here)
    return Cell(place, law_name(law), here[:MOST_IN_CELL], max(0, len(here) - MOST_IN_CELL), bad)
