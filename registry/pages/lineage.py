"""The lineage page: a drawing whose nodes are links, and the table of the same edges."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import render
from django.utils.translation import gettext as _

from audit.refusals import BadInput
from registry import queries
from registry.lineage.graph import Direction
from registry.models import Dataset, Environment, ModelVersion
from registry.pages.access import readable
from registry.pages.lineage_picture import Picture, picture_between, picture_of

DEPTHS = (1, 2, 3, 5)
DIRECTIONS: dict[str, Direction] = {"both": "both", "upstream": "upstream", "downstream": "downstream"}
#: ``fold=`` on the page; anything else is decided by the number of nodes.
FOLDING: dict[str, bool | None] = {"": None, "on": True, "off": False}
#: Folded boxes that one address opens.
MOST_OPENED = 50


@readable
def lineage(request: HttpRequest) -> HttpResponse:
    """``?focus=&depth=&direction=``, or ``?focus=&to=`` for the ways between two; without a focus, a choice."""
    focus, to = request.GET.get("focus", ""), request.GET.get("to", "")
    depth, direction = request.GET.get("depth", "2"), request.GET.get("direction", "both")
    refusal: BadInput | None = None
    picture: Picture | None = None
    way: tuple[str, ...] = ()
    if focus:
        try:
            shown = _folding(request.GET)
            if to:
                picture, way = picture_between(_known(focus), _known(to), **shown)
            else:
                picture = picture_of(_known(focus), _direction(direction), _depth(depth), **shown)
        except BadInput as caught:
            refusal = caught
    context = {
        "focus": focus,
        "to": to,
        "way": way,
        "depth": depth,
        "direction": direction,
        "depths": sorted({*map(str, DEPTHS), *([depth] if picture and not to else [])}, key=int),
        "directions": [
            ("both", _("both ways")),
            ("upstream", _("where it came from")),
            ("downstream", _("what it reached")),
        ],
        "picture": picture,
        "opening": request.GET.urlencode(),
        "unfolded": _with(request.GET, "fold", "off"),
        "folded": _with(request.GET, "fold", "on"),
        "refusal": refusal,
        "versions": ModelVersion.objects.select_related("model").order_by("model__name", "-number")[:200],
        "datasets": Dataset.objects.order_by("name")[:200],
    }
    return render(request, "registry/lineage.html", context, status=refusal.status if refusal else 200)


def _folding(asked: QueryDict) -> dict[str, Any]:
    word, opened = asked.get("fold", ""), asked.getlist("open")
    if word not in FOLDING:
        raise BadInput(_("fold is on or off."), code="lineage.fold")
    if len(opened) > MOST_OPENED:
        raise BadInput(_("Too many boxes are opened one by one: unfold all of them."), code="lineage.open")
    return {"folding": FOLDING[word], "opened": opened}


def _with(asked: QueryDict, name: str, value: str) -> str:
    """The page's question with one answer changed, and no box opened by itself."""
    changed = asked.copy()
    changed.pop("open", None)
    changed[name] = value
    return changed.urlencode()


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
