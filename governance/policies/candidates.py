"""Which actions are worth combining: found by trying each on the facts, never by reading what a rule says.

Actions that do the same are one, with the others named in it. Every trial changes all flows that could be helped at
once, because what a rule says of one flow does not depend on another; what comes of it is tried again together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from governance.policies import explain
from governance.policies.actions import (
    Action,
    Activate,
    FlowKey,
    Lift,
    Mend,
    Record,
    Review,
    State,
    covered_by_one,
    key_of,
    key_of_finding,
    knows_law,
)
from governance.policies.compile import CompiledPack
from governance.policies.facts import NOWHERE
from governance.policies.flows import Region
from governance.policies.leave import METHODS, ApproveWaiver, Explain, Supply, Waive
from governance.policies.moves import Complete, Describe, Move, nowhere
from governance.policies.results import Finding
from governance.policies.trials import Mark, Reduced, Trials, marks
from governance.policies.vocabulary import UNKNOWN

#: Different effects of one kind that are kept for one group of flows, and alternatives named in one action.
_KEPT = 3
_ALSO = 4
_PEOPLE = 5
_PLACES = 24
_LAWS = 4
_ACCESS = "support_access"
_QUOTED = re.compile(r"['\"]([A-Za-z][A-Za-z0-9_.-]{1,39})['\"]")
_WHERE_UNKNOWN = 6
_NOWHERE: tuple[Region | None, ...] = (None,)


@dataclass(frozen=True, slots=True)
class Known:
    """What may be tried beyond what stands in the facts: types of safeguards, places that may satisfy a rule (each with
    its country), packs that are not in force, and types of evidence (those that a pack quotes are tried as well).
    """

    types: tuple[str, ...] = ("SCC", "BCR", "ACCREDITATION_CERT")
    places: tuple[Region, ...] = ()
    packs: tuple[CompiledPack, ...] = ()
    evidence: tuple[str, ...] = ("validation_report", "fairness", "model_card")


def candidates(case: Reduced, blocking: Sequence[Finding], known: Known, trials: Trials) -> list[Action]:
    """Every action that helps by itself, or once something that is unknown was recorded. Raises ``Spent``."""
    places = _places(case.state, known)
    first = [
        *_describing(case, blocking, places, trials),
        *_completing(case.state, blocking, trials),
        *_activating(case.state, blocking, known, trials),
    ]
    found = {each.name: each for each in first}
    for state in _worlds(case.state, first):
        still = trials.blocking(state)
        for each in (
            *_moving(case, state, still, places, trials),
            *_mending(state, still, trials),
            *_recording(state, still, known, trials),
            *_supplying(state, still, known, trials),
            *_explaining(state, still, trials),
            *_waiving(state, still, trials),
        ):
            found.setdefault(each.name, each)
    for incident in case.state.document.get("incidents", ()):
        found[f"lift:{incident['id']}"] = Lift(incident["id"])
    for review in case.state.document.get("reviews", ()):
        found[f"review:{review['id']}"] = Review(review["id"], tuple(review["review_by"]))
    return sorted(found.values(), key=lambda each: (each.phase, each.name))


def _worlds(base: State, first: Sequence[Action]) -> Iterator[State]:
    """As it is, with each thing that is unknown recorded, and with all of them."""
    yield base
    together, slots = base, set()
    for each in first:
        if isinstance(each, Describe | Activate):
            yield each.applied(base)
        if each.slot not in slots:
            slots.add(each.slot)
            together = each.applied(together)
    if len(slots) > 1:
        yield together


def _places(state: State, known: Known) -> list[Region]:
    """Where other flows of the case lie already, then the known ones in their order."""
    used = {
        flow["region"]: Region(flow["region"], flow["country"], True)
        for flow in state.document["flows"]
        if flow["region"] != NOWHERE
    }
    others = {each.id: each for each in known.places if each.confirmed and each.id not in used}
    return [used[name] for name in sorted(used)] + list(others.values())[:_PLACES]


def _describing(
    case: Reduced, blocking: Sequence[Finding], places: Sequence[Region], trials: Trials
) -> Iterator[Describe]:
    """For each group of data sets of which something is unknown: the values that help most."""
    groups = _undescribed(case)
    if not groups:
        return
    before = marks(blocking)
    tried: list[tuple[Describe, frozenset[Mark]]] = []
    everybody = tuple(sorted({subject for subjects in groups.values() for subject in subjects}))
    where: list[Region | None] = [*[each for each in places if not _country(each)][:_WHERE_UNKNOWN]]
    for people, region in product(_people(case.state), where or [*_NOWHERE]):
        one = Describe(everybody, "special", people, region)
        tried.append((one, marks(trials.blocking(one.applied(case.state)))))
    for one, left in sorted(tried, key=lambda pair: len(pair[1]))[:_KEPT]:
        milder = replace(one, classification="personal")
        after = marks(trials.blocking(milder.applied(case.state)))
        if len(after) < len(left):
            tried.append((milder, after))
    for lacking, subjects in groups.items():
        kept: dict[frozenset[Mark], Describe] = {}
        for one, left in sorted(tried, key=lambda pair: len(_about(pair[1], subjects))):
            mine = Describe(
                subjects,
                one.classification if "classification" in lacking else "",
                one.people if "data_subjects" in lacking else (),
                one.region if "region" in lacking else None,
            )
            if _about(left, subjects) != _about(before, subjects) and len(kept) < _KEPT:
                kept.setdefault(_about(left, subjects), mine)
        yield from dict.fromkeys(kept.values())


def _undescribed(case: Reduced) -> dict[tuple[str, ...], tuple[str, ...]]:
    """What nobody recorded -> the data sets that lack just that."""
    lacking: dict[str, set[str]] = {}
    for flow in case.state.document["flows"]:
        unknown = {
            "classification": flow["classification"] == UNKNOWN,
            "data_subjects": UNKNOWN in flow["data_subjects"],
            "region": nowhere(flow),
        }
        for member in case.alike[key_of(flow)] if flow["kind"] == "dataset" else ():
            lacking.setdefault(member[1], set()).update(name for name, is_so in unknown.items() if is_so)
    groups: dict[tuple[str, ...], list[str]] = {}
    for subject, names in sorted(lacking.items()):
        if names:
            groups.setdefault(tuple(sorted(names)), []).append(subject)
    return {names: tuple(subjects) for names, subjects in groups.items()}


def _about(found: frozenset[Mark], subjects: Sequence[str]) -> frozenset[Mark]:
    """The marks on these data sets, and on what no flow of a data set is about."""
    return frozenset(each for each in found if each[2] in subjects or each[3] != "dataset")


def _people(state: State) -> list[tuple[str, ...]]:
    """Whose data it may be: of the people that other flows name, or of those for whom a pack in force speaks."""
    named = {who for flow in state.document["flows"] for who in flow["data_subjects"]} - {UNKNOWN}
    laws = [pack.pack.jurisdictions[:1] for pack in state.packs if pack.pack.jurisdictions]
    tries = [tuple(sorted(named)), *((who,) for who in sorted(named)), *laws]
    return list(dict.fromkeys(each for each in tries if each))[:_PEOPLE] or [()]


def _completing(state: State, blocking: Sequence[Finding], trials: Trials) -> Iterator[Action]:
    version = state.document["version"]
    for field in Complete.TRIED:
        one = Complete(field, version["subject"])
        if marks(trials.blocking(one.applied(state))) < marks(blocking):
            yield one


def _activating(state: State, blocking: Sequence[Finding], known: Known, trials: Trials) -> Iterator[Action]:
    """Packs that speak where none does: when a finding of the engine about coverage goes."""
    silent = {each for each in marks(blocking) if each[1] in (explain.UNCOVERED, explain.NO_RULES)}
    in_force = {pack.id for pack in state.packs}
    for pack in sorted(known.packs, key=lambda pack: (pack.id, -pack.version)) if silent else ():
        one = Activate(pack)
        if pack.id not in in_force and silent - marks(trials.blocking(one.applied(state))):
            yield one


def _country(place: Region) -> bool:
    """A country is where people look at data from; nothing is stored there."""
    return place.id.startswith("country:")


def _moving(
    case: Reduced, state: State, blocking: Sequence[Finding], places: Sequence[Region], trials: Trials
) -> Iterator[Action]:
    """Each blocked flow to the places where less blocks and nothing new does."""
    blocked = {key for each in blocking if (key := key_of_finding(each)) is not None}
    present = {key_of(flow): flow for flow in state.document["flows"]}
    stuck = sorted(key for key in blocked if key in case.alike and not (key[0] == "dataset" and nowhere(present[key])))
    if not stuck:
        return
    before = marks(blocking)
    effects: dict[FlowKey, dict[frozenset[Mark], list[Region]]] = {key: {} for key in stuck}
    for place in places:
        left = marks(trials.blocking(Move(tuple(stuck), place).applied(state)))
        for key in stuck:
            mine = frozenset(each for each in left if (each[3], each[2]) == key[:2])
            was = frozenset(each for each in before if (each[3], each[2]) == key[:2])
            if place.id != key[2] and mine < was and _country(place) == (key[0] == _ACCESS):
                effects[key].setdefault(mine, []).append(place)
    alike: dict[object, list[FlowKey]] = {}
    for key, found in effects.items():
        signature = [(len(left), [each.id for each in some]) for left, some in found.items()]
        alike.setdefault((key[0], key[2], key[3], repr(sorted(signature))), []).append(key)
    for keys in alike.values():
        found = effects[keys[0]]
        flows = tuple(sorted(member for key in keys for member in case.alike[key]))
        for left in sorted(found, key=lambda each: (len(each), found[each][0].id))[:_KEPT]:
            to, *also = found[left]
            yield Move(flows, to, tuple(also[:_ALSO]))


def _mending(state: State, blocking: Sequence[Finding], trials: Trials) -> Iterator[Action]:
    """Safeguards that help once everything that they lack is mended; a revoked one stays revoked."""
    if not covered_by_one(blocking):
        return
    usable = [one["id"] for one in state.document["safeguards"] if one["status"] in ("active", "proposed")]
    before = marks(blocking)
    for name in usable:
        one = Mend(name).fit(state, blocking)
        if marks(trials.blocking(one.applied(state))) < before:
            yield Mend(name)


def _recording(state: State, blocking: Sequence[Finding], known: Known, trials: Trials) -> Iterator[Action]:
    """New safeguards: types by the jurisdictions of the packs that block, until one of them helps with each pack."""
    before = marks(blocking)
    if not covered_by_one(blocking):
        return
    helped: dict[tuple[str, frozenset[Mark]], list[Record]] = {}
    for pack in state.packs:
        mine = {each for each in before if each[0] == pack.id and each[3]}
        for law in _laws(state, pack) if mine else ():
            for type_ in known.types:
                one = Record(type_, law)
                left = marks(trials.blocking(one.fit(state, blocking).applied(state)))
                if mine - left and left < before:
                    helped.setdefault((law, left), []).append(one)
            if any(at == law for at, _ in helped):
                break
    for same in helped.values():
        yield replace(same[0], also=tuple(dict.fromkeys(each.type for each in same[1:] if each.type != same[0].type)))


def _laws(state: State, pack: CompiledPack) -> Sequence[str]:
    """Under whose law it may be made; nothing to choose in facts that do not know the law of a safeguard."""
    return pack.pack.jurisdictions[:_LAWS] if knows_law(state.document) else ("",)


def _supplying(state: State, blocking: Sequence[Finding], known: Known, trials: Trials) -> Iterator[Action]:
    """New evidence of each type that is known, or that a rule which needs evidence quotes."""
    before = marks(blocking)
    failing = {(each.pack, each.rule): each for each in blocking if "evidence" in each.failed}
    for pack in state.packs:
        for rule in pack.rules:
            one = failing.get((pack.id, rule.rule.id))
            quoted = [word for _, text in rule.rule.needs for word in _QUOTED.findall(text.value)]
            for type_ in dict.fromkeys([*quoted, *known.evidence]) if one is not None else ():
                supply = Supply(type_, one.who, one.where) if one else Supply(type_)
                if marks(trials.blocking(supply.applied(state))) < before:
                    yield supply


def _explaining(state: State, blocking: Sequence[Finding], trials: Trials) -> Iterator[Action]:
    """A new explanation by each method, for rules that need one."""
    before = marks(blocking)
    for each in blocking:
        for method in METHODS if "explanation" in each.failed else ():
            one = Explain(method, each.who, each.where)
            if marks(trials.blocking(one.applied(state))) < before:
                yield one


def _waiving(state: State, blocking: Sequence[Finding], trials: Trials) -> Iterator[Action]:
    """Leave for a rule that may be waived: what was proposed already, or a new waiver."""
    before = marks(blocking)
    waivable = {(pack.id, rule.rule.id) for pack in state.packs for rule in pack.rules if rule.rule.waivable}
    for pack, name in sorted({(each.pack, each.rule) for each in blocking} & waivable):
        proposed = [
            ApproveWaiver(one["id"], pack, name)
            for one in state.document.get("waivers", ())
            if (one["pack"], one["rule"]) == (pack, name) and not one["approved_by"]
        ]
        new = Waive(pack, name).fit(state, blocking)
        for one in (*proposed, new):
            if marks(trials.blocking(one.applied(state))) < before:
                yield Waive(pack, name) if one is new else one
