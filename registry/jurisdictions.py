"""Whose law protects the people in a data set: a closed list, because free text with a default hides a transfer.

ISO 3166-1 alpha-2 codes, plus the legal perimeters inside a country that have a data-protection law of their own.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.refusals import BadInput

#: Perimeters with their own law, and the Union as one.
PERIMETERS = frozenset({"AE-federal", "AE-ADGM", "AE-DIFC", "QA-QFC", "EU"})
#: Zones with their own law and a border of their own, with the country in which they lie.
ZONES = {"AE-ADGM": "AE", "AE-DIFC": "AE", "QA-QFC": "QA"}
#: A country as a place, ``country:SA``: people look at data from there.
COUNTRY = "country:"

#: ISO 3166-1 alpha-2, officially assigned.
COUNTRIES = frozenset(
    """
    AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ CA CC
    CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO FR GA GB GD
    GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH
    KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW
    MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC
    SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY
    UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW
    """.split()  # noqa: SIM905  249 lines would hide the list
)


#: The countries of the known regions, as people call them; any other is shown by its code.
NAMES: dict[str, Promise] = {
    "AE": gettext_lazy("United Arab Emirates"),
    "BE": gettext_lazy("Belgium"),
    "BH": gettext_lazy("Bahrain"),
    "CH": gettext_lazy("Switzerland"),
    "DE": gettext_lazy("Germany"),
    "ES": gettext_lazy("Spain"),
    "FI": gettext_lazy("Finland"),
    "FR": gettext_lazy("France"),
    "GB": gettext_lazy("United Kingdom"),
    "HU": gettext_lazy("Hungary"),
    "IE": gettext_lazy("Ireland"),
    "IL": gettext_lazy("Israel"),
    "IN": gettext_lazy("India"),
    "IT": gettext_lazy("Italy"),
    "NL": gettext_lazy("Netherlands"),
    "OM": gettext_lazy("Oman"),
    "PL": gettext_lazy("Poland"),
    "QA": gettext_lazy("Qatar"),
    "RS": gettext_lazy("Serbia"),
    "SA": gettext_lazy("Saudi Arabia"),
    "SE": gettext_lazy("Sweden"),
    "US": gettext_lazy("United States"),
}


def country_name(code: str) -> str:
    """What the country with this code is called; the code when no name is at hand."""
    return str(NAMES.get(code, code))


def known(codes: Sequence[str], *, field: str) -> list[str]:
    """The codes, each once, in order. Raises ``BadInput`` on ``field`` for the first that is not in the list."""
    for code in codes:
        if code not in COUNTRIES and code not in PERIMETERS:
            sentence = _(
                "“%(code)s” is not a jurisdiction: write the two-letter country code (SA, AE, DE) or one of %(more)s."
            ) % {"code": str(code)[:40], "more": ", ".join(sorted(PERIMETERS))}
            raise BadInput(sentence, code="jurisdiction.unknown", fields={field: sentence})
    return list(dict.fromkeys(codes))
