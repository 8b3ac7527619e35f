"""Where the bytes are: ``provider:region`` to country, from the table in ``data/regions.json``.

Ids always name the provider: ``me-central-1`` is the UAE on AWS and Riyadh on Alibaba. Pure look-ups; nothing here says
which law governs (that is an environment's perimeter).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from types import MappingProxyType

from django.conf import settings
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.refusals import BadInput
from registry.jurisdictions import COUNTRIES, COUNTRY, ZONES

_TABLE = Path(__file__).parent / "data" / "regions.json"


@dataclass(frozen=True, slots=True)
class Region:
    """``country`` is ISO 3166-1 alpha-2. ``status`` is ga, listed, announced, restricted, dedicated or confirmed."""

    id: str
    provider: str
    name: str
    country: str
    city: str
    status: str
    eu: bool
    source: str
    note: str

    @property
    def satisfies(self) -> bool:
        """Only a generally available region, or one that the operator confirmed, may satisfy a rule."""
        return self.status in ("ga", "confirmed")


@cache
def table() -> Mapping[str, Region]:
    """Every region that the file knows, by id."""
    rows = json.loads(_TABLE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            row["id"]: Region(
                id=row["id"],
                provider=row["provider"],
                name=row["region"],
                country=row["country"],
                city=row["city"],
                status=row["status"],
                eu=row["eu"],
                source=row["source"],
                note=row["note"],
            )
            for row in rows
        }
    )


def confirmed() -> Mapping[str, str]:
    """What the operator confirmed: region id to country, from the setting ``CONFIRMED_REGIONS``.

    It may name a region of the file (its status becomes ``confirmed``) or the operator's own, for example
    ``{"onprem:ksa-riyadh": "SA"}``.
    """
    return dict(getattr(settings, "CONFIRMED_REGIONS", None) or {})


def lookup(region_id: str) -> Region:
    """The region with this id. Raises ``BadInput`` that names near matches; there is no default country."""
    known = table().get(region_id)
    country = confirmed().get(region_id)
    if country is not None:
        provider, _colon, name = region_id.partition(":")
        return Region(
            id=region_id,
            provider=provider,
            name=name,
            country=country,
            city=known.city if known else "",
            status="confirmed",
            eu=known.eu if known else False,
            source="operator",
            note=known.note if known else "",
        )
    if known is None:
        raise BadInput(unknown_sentence(region_id), code="region.unknown", fields={"regions": region_id})
    return known


def place(place_id: str) -> Region:
    """Like ``lookup``, and also ``country:XX``: a country from which people look at data. Raises ``BadInput``.

    A legal zone inside a country (``country:AE-ADGM``) is a place too: someone in Abu Dhabi city is outside ADGM.
    """
    if not place_id.startswith(COUNTRY):
        return lookup(place_id)
    code = place_id.removeprefix(COUNTRY)
    if code not in COUNTRIES and code not in ZONES:
        sentence = _("“%(code)s” is not a country: write the two-letter code (SA, AE, DE) or one of %(more)s.") % {
            "code": code[:40],
            "more": ", ".join(sorted(ZONES)),
        }
        raise BadInput(sentence, code="country.unknown", fields={"regions": sentence})
    return Region(
        id=place_id,
        provider="country",
        name=code,
        country=ZONES.get(code, code),
        city="",
        status="confirmed",
        eu=False,
        source="ISO 3166-1",
        note="",
    )


def countries(codes: Sequence[str], *, field: str) -> tuple[Region, ...]:
    """The places ``country:XX`` of these codes, each once, in order. Raises ``BadInput`` on ``field`` for the first
    that is no country.
    """
    return places([f"{COUNTRY}{code}" for code in codes], field=field)


def places(place_ids: Sequence[str], *, field: str) -> tuple[Region, ...]:
    """The places with these ids, each once, in order. Raises ``BadInput`` on ``field`` for the first unknown one."""
    try:
        return tuple(place(each) for each in dict.fromkeys(place_ids))
    except BadInput as refusal:
        raise BadInput(refusal.sentence, code=refusal.code, fields={field: refusal.sentence}) from None


def unknown_sentence(region_id: str) -> str:
    """Why ``region_id`` cannot be used, and what was probably meant."""
    near = near_matches(region_id)
    if near:
        return _("Region “%(region)s” is not known. Did you mean %(near)s?") % {
            "region": region_id[:80],
            "near": ", ".join(near),
        }
    return _(
        "Region “%(region)s” is not known. Regions are written provider:region, for example azure:uaenorth; "
        "the operator confirms regions of its own in CONFIRMED_REGIONS."
    ) % {"region": region_id[:80]}


def near_matches(region_id: str, *, limit: int = 3) -> tuple[str, ...]:
    """Ids that look alike, best first; a bare region name matches every provider that has it."""
    ids = sorted({*table(), *confirmed()})
    bare = region_id.rpartition(":")[2].lower()
    same_name = [each for each in ids if each.partition(":")[2].lower() == bare]
    alike = get_close_matches(region_id.lower(), ids, n=limit, cutoff=0.6)
    return tuple(dict.fromkeys([*same_name, *alike]))[: max(limit, len(same_name))]


#: What the status of a region is called; only the first two satisfy a rule.
STATUSES: Mapping[str, Promise] = {
    "ga": gettext_lazy("generally available"),
    "confirmed": gettext_lazy("confirmed by the operator"),
    "listed": gettext_lazy("listed, not available"),
    "announced": gettext_lazy("announced"),
    "restricted": gettext_lazy("restricted"),
    "dedicated": gettext_lazy("dedicated"),
    "unknown": gettext_lazy("not known here"),
}


def described(region_id: str) -> dict[str, object]:
    """A region as pages and the API show it; one that the table does not know any more satisfies no rule."""
    try:
        known = place(region_id)
    except BadInput:
        return {"id": region_id, "country": "", "city": "", "status": "unknown", "satisfies": False}
    found = {"id": known.id, "country": known.country, "city": known.city, "status": known.status}
    return {**found, "satisfies": known.satisfies}


def lookup_all(region_ids: Sequence[str], *, field: str) -> tuple[Region, ...]:
    """The regions with these ids, each once, in order. Raises ``BadInput`` on ``field`` for the first unknown one."""
    try:
        return tuple(lookup(each) for each in dict.fromkeys(region_ids))
    except BadInput as refusal:
        raise BadInput(refusal.sentence, code=refusal.code, fields={field: refusal.sentence}) from None
