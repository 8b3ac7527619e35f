"""How a recorded decision would have passed: the smallest sets of actions, computed from what is stored with it.

Nothing is recorded and no gate asks this. The answer holds for the facts of then: whoever acts on it asks again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from audit.refusals import BadInput, Refused
from governance import policies, replay
from governance.models.decision import Decision
from governance.models.evidence import EvidenceType
from governance.models.policy import PolicyPack
from governance.models.transfer import SafeguardType
from governance.packs import versions_in_force
from governance.policies.candidates import Known
from governance.policies.facts import digest_of
from governance.policies.ways import Ways, ways_to_pass
from registry import regions

#: Places that are tried because a policy names their country rather than themselves.
_BY_COUNTRY = 8


def to_pass(decision: Decision) -> Ways:
    """The ways to pass, best first; none for an allow.

    Raises ``Refused`` for a decision that holds nothing to decide again, and for one whose facts were changed.
    """
    facts, inputs = replay.kept(decision)
    if digest_of(decision.facts) != decision.facts_digest:
        raise Refused(_("The stored facts were changed: they do not give their digest."), code="ways.altered")
    packs = replay.packs_of(decision)
    known = Known(
        types=tuple(SafeguardType.values),
        places=tuple(_places(packs)),
        evidence=tuple(EvidenceType.values),
        packs=tuple(_not_in_force({str(pack["pack"]) for pack in decision.packs})),
    )
    return ways_to_pass(packs, facts, inputs, known)


def _places(packs: Sequence[policies.CompiledPack]) -> Iterator[policies.Region]:
    """Places that may satisfy a rule: those that the packs name, the operator's own, and some of countries named."""
    named = {value for pack in packs for _name, given in pack.pack.params for value in _texts(given)}
    ids = [*sorted(each for each in named if ":" in each and "*" not in each), *sorted(regions.confirmed())]
    by_country = [each.id for each in regions.table().values() if each.country in named and each.satisfies]
    for region_id in dict.fromkeys([*ids, *sorted(by_country)[:_BY_COUNTRY]]):
        try:
            known = regions.place(region_id)
        except BadInput:
            continue
        if known.satisfies:
            yield policies.Region(known.id, known.country, confirmed=True)


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, tuple):
        yield from value


def _not_in_force(decided: set[str]) -> Iterator[policies.CompiledPack]:
    """The newest version of each pack that neither decided nor is in force, if it may be activated."""
    newest: dict[str, PolicyPack] = {}
    for row in PolicyPack.objects.exclude(slug__in=decided).order_by("slug", "version"):
        newest[row.slug] = row
    in_force = versions_in_force()
    for slug, row in newest.items():
        if slug in in_force:
            continue
        try:
            pack = policies.compile_pack(row.text)
        except policies.PackError:
            continue
        if policies.may_be_activated(pack):
            yield pack
