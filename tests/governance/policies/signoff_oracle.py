"""Sign-offs once more, in plain Python and by trying everything: written from gates.md 2, not from the engine's code.

It knows nothing of packs: a rule is what ``Rule`` says, a history is a list of the same events.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from governance.policies import People, SignOffEvent

EVERYBODY = ("ml_lead", "compliance_officer", "dpo")


@dataclass(frozen=True)
class Rule:
    """``slots``: for each person, the roles that will do."""

    slots: tuple[tuple[str, ...], ...]
    order: tuple[str, ...] = ()
    veto: tuple[str, ...] | None = None
    longest: timedelta | None = None
    factors: int = 1
    contributors_out: bool = True
    max_age: timedelta = timedelta(seconds=300)
    valid_for: timedelta = timedelta(days=14)


@dataclass(frozen=True)
class Signed:
    by: str
    owner: str
    role: str
    at: datetime


def verdict(rule: Rule, events: Sequence[SignOffEvent], who: People, now: datetime, subject: str) -> str:
    """``approved``, ``awaiting_signoff`` or ``rejected``."""
    asked = {role for slot in rule.slots for role in slot}
    refusing = asked if rule.veto is None else asked & set(rule.veto)
    for event in events:
        stands = not any(_reopens(other, event, who) for other in events)
        if event.kind == "rejected" and event.subject_digest == subject and event.role in refusing and stands:
            return "rejected"
    signed = list(_counting(rule, events, who, now, subject, asked))
    return "approved" if any(True for _ in _assignments(rule, signed, ())) else "awaiting_signoff"


def _assignments(rule: Rule, signed: Sequence[Signed], chosen: tuple[Signed, ...]) -> Iterator[tuple[Signed, ...]]:
    """Every way to give each slot a signature so that nobody stands behind two, and everybody waited for their turn."""
    if len(chosen) == len(rule.slots):
        if _in_turn(rule, chosen):
            yield chosen
        return
    used = {person for one in chosen for person in (one.by, one.owner)}
    for one in signed:
        if one.role in rule.slots[len(chosen)] and not {one.by, one.owner} & used:
            yield from _assignments(rule, signed, (*chosen, one))


def _in_turn(rule: Rule, chosen: Sequence[Signed]) -> bool:
    """A later role's signature came after every slot of each earlier role was filled."""
    for one in chosen:
        if one.role not in rule.order:
            continue
        earlier = rule.order[: rule.order.index(one.role)]
        for slot, other in zip(rule.slots, chosen, strict=True):
            if len(slot) == 1 and slot[0] in earlier and other.at >= one.at:
                return False
    return True


def _counting(
    rule: Rule, events: Sequence[SignOffEvent], who: People, now: datetime, subject: str, asked: set[str]
) -> Iterator[Signed]:
    for event in events:
        if event.kind != "approved" or event.subject_digest != subject or event.role not in asked:
            continue
        owner = event.by
        if event.delegation:
            given = [one for one in events if one.kind == "delegated" and one.id == event.delegation]
            if not given or not _lets(given[0], event, events, rule, who):
                continue
            owner = given[0].by
        fresh = event.reauth_at is not None and timedelta(0) <= event.at - event.reauth_at <= rule.max_age
        past = event.at.replace(microsecond=0) <= now
        if not fresh or not past or now - event.at >= rule.valid_for or event.factors < rule.factors:
            continue
        out = {who.requester} | (set(who.contributors) if rule.contributors_out or event.delegation else set())
        if {event.by, owner} & out or not event.by.startswith("user:"):
            continue
        if event.role not in who.roles.get(owner, ()):
            continue
        if any(other.kind == "revoked" and other.undoes == event.id and _may(other, event.by, who) for other in events):
            continue
        changed_mind = [one for one in events if one.kind == "rejected" and one.by == event.by]
        if any(one.at >= event.at and one.subject_digest == subject for one in changed_mind):
            continue
        yield Signed(event.by, owner, event.role, event.at)


def _lets(given: SignOffEvent, event: SignOffEvent, events: Sequence[SignOffEvent], rule: Rule, who: People) -> bool:
    """The delegation is to the signer, for that role, allowed, not too long, running then, and nobody had ended it."""
    assert given.starts_at is not None
    assert given.ends_at is not None
    if rule.longest is None or given.ends_at - given.starts_at > rule.longest:
        return False
    if given.to != event.by or given.by == event.by or given.role != event.role or event.by not in who.roles:
        return False
    if event.at < given.at or event.at < given.starts_at or event.at >= given.ends_at:
        return False
    for other in events:
        ends = other.kind == "revoked" and other.undoes == given.id and other.at <= event.at
        if ends and (other.by == given.to or _may(other, given.by, who)):
            return False
    return True


def _may(other: SignOffEvent, author: str, who: People) -> bool:
    return other.by == author or other.role == "policy_owner" or _owner(other.by, who)


def _owner(by: str, who: People) -> bool:
    return by in who.policy_owners and by != who.requester and by not in who.contributors


def _reopens(other: SignOffEvent, rejection: SignOffEvent, who: People) -> bool:
    if other.kind != "reopened" or other.undoes != rejection.id or other.at < rejection.at:
        return False
    return other.by == rejection.by or _owner(other.by, who)
