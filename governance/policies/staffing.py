"""Who fills which slot: one person stands behind one slot at most, and those who sign later wait for the earlier.

Exact: when any choice of signatures fills every slot, one is found. Without order and delegates that is a largest
matching of people with slots. With an order, each role's slots must have been filled before the next one signs; with
delegates, a signature takes two people out of the count. Both are small searches around the same matching.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from itertools import combinations, pairwise, product

from governance.policies.signatures import Asked, Signature, SignOffEvent

#: Slot position -> the signature that fills it.
Staffed = dict[int, Signature]


def staff(asked: Asked, counted: Sequence[Signature]) -> Staffed:
    """As many slots as can be filled, with as few delegates as that takes; ``counted`` in the order of time."""
    best: Staffed = {}
    for lent in _apart([one for one in counted if len(one.persons) > 1], len(asked.slots)):
        behind = frozenset(person for one in lent for person in one.persons)
        own = [one for one in counted if len(one.persons) == 1 and not one.persons & behind]
        found = _placed(asked, [*lent, *own])
        if len(found) > len(best):
            best = found
        if len(best) == len(asked.slots):
            break
    return best


def out_of_turn(asked: Asked, staffed: Staffed, one: Signature) -> bool:
    """Whether a signature that fills no slot came before those that it has to wait for."""
    if one.event.role not in asked.rule.order or one in staffed.values():
        return False
    earlier = asked.rule.order[: asked.rule.order.index(one.event.role)]
    positions = [position for position, slot in enumerate(asked.slots) if any(slot == {role} for role in earlier)]
    return any(position not in staffed or staffed[position].event.at >= one.event.at for position in positions)


def match(slots: Sequence[frozenset[str]], people: Mapping[str, frozenset[str]]) -> dict[int, str]:
    """A largest assignment of people to slots, slot position -> person; nobody is used twice.

    Kuhn's augmenting paths (Naval Research Logistics Quarterly 2, 1955). Whoever comes first in ``people`` stays
    matched when somebody later is added, so the order decides who counts when there are more people than slots.
    """
    taken: dict[int, str] = {}

    def place(person: str, seen: set[int]) -> bool:
        for position, slot in enumerate(slots):
            if position in seen or not slot & people[person]:
                continue
            seen.add(position)
            if position not in taken or place(taken[position], seen):
                taken[position] = person
                return True
        return False

    for person in people:
        place(person, set())
    return taken


def _apart(lent: Sequence[Signature], most: int) -> Iterator[tuple[Signature, ...]]:
    """Choices of delegated signatures behind which nobody stands twice, none first."""
    for size in range(min(len(lent), most) + 1):
        for chosen in combinations(lent, size):
            if len(frozenset(person for one in chosen for person in one.persons)) == 2 * size:
                yield chosen


def _placed(asked: Asked, usable: Sequence[Signature]) -> Staffed:
    """Signatures of different people in slots. Each person is one key: the signer."""
    turns = [role for role in asked.rule.order if frozenset({role}) in asked.slots]
    best: Staffed = {}
    for ends in _turn_ends(turns, usable):
        found = _in_turn(asked, usable, turns, ends) if turns else _in_any_order(asked, usable)
        if len(found) > len(best):
            best = found
        if len(best) == len(asked.slots):
            break
    return best


def _in_any_order(asked: Asked, usable: Sequence[Signature]) -> Staffed:
    """Those whose signature lasts longest first, so that the approval is valid as long as it can be."""
    by_role: dict[str, dict[str, Signature]] = {}
    for one in usable:
        by_role.setdefault(one.event.by, {})[one.event.role] = one
    freshest = sorted(by_role.items(), key=lambda pair: (-max(_age(one) for one in pair[1].values()), pair[0]))
    matched = match(asked.slots, {person: frozenset(roles) for person, roles in freshest})
    return {
        position: max((by_role[person][role] for role in asked.slots[position] & set(by_role[person])), key=_age)
        for position, person in matched.items()
    }


def _turn_ends(turns: Sequence[str], usable: Sequence[Signature]) -> Iterator[tuple[datetime, ...]]:
    """When each role was complete, for all that were: all but the last first, then fewer. One empty end at least."""
    for complete in range(max(0, len(turns) - 1), -1, -1):
        moments = [sorted({one.event.at for one in usable if one.event.role == role}) for role in turns[:complete]]
        for ends in product(*moments):
            if all(first < then for first, then in pairwise(ends)):
                yield ends


def _in_turn(asked: Asked, usable: Sequence[Signature], turns: Sequence[str], ends: tuple[datetime, ...]) -> Staffed:
    """Slots filled when the first roles were complete at ``ends``; empty when they were not.

    A role's own slots take what was signed in its turn; a slot for any role what was signed in its turn or later. The
    matching runs from the slots, in their turn, so that those of the first roles stay filled.
    """
    signers = sorted({one.event.by for one in usable})
    chosen: dict[tuple[str, str], Signature] = {}
    for one in usable:
        for label in _labels(one.event, asked.rule.order, turns, ends):
            chosen[one.event.by, label] = one
    offered = [frozenset(label for by, label in chosen if by == signer) for signer in signers]
    wanted = {
        str(position): slot if len(slot) == 1 else frozenset(f"any {role}" for role in slot)
        for position, slot in sorted(enumerate(asked.slots), key=lambda pair: _turn(pair[1], turns))
    }
    found: Staffed = {}
    for signer, position in match(offered, wanted).items():
        label = min(wanted[position] & offered[signer])
        found[int(position)] = chosen[signers[signer], label]
    first = [position for position, slot in enumerate(asked.slots) if _turn(slot, turns) < len(ends)]
    return found if all(position in found for position in first) else {}


def _labels(
    event: SignOffEvent, order: Sequence[str], turns: Sequence[str], ends: tuple[datetime, ...]
) -> Iterator[str]:
    """The kinds of slot that a signature can fill: its role's own, one for any role."""
    before = order[: order.index(event.role)] if event.role in order else ()
    turn = sum(role in turns for role in before)
    if turn > len(ends) or (turn and event.at <= ends[turn - 1]):
        return
    yield f"any {event.role}"
    if event.role not in turns or turn == len(ends) or event.at <= ends[turn]:
        yield event.role


def _turn(slot: frozenset[str], turns: Sequence[str]) -> int:
    """The place of a slot in the order; those without a place come last."""
    return next((place for place, role in enumerate(turns) if slot == {role}), len(turns))


def _age(one: Signature) -> float:
    return one.event.at.timestamp()
