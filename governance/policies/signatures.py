"""One signature: what it is, and why it does not count. Pure, and always asked about now.

A signature counts while its subject is the one that is asked about, its signer still is who they were, and nobody took
it back. A delegate's signature counts as the delegator's: both must be independent, and the delegator must still hold
the role.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from governance.policies.parts import SignOffRule

EventKind = Literal["approved", "rejected", "revoked", "reopened", "delegated"]
#: The role of a revocation by a policy owner: it stands when they are none any more.
POLICY_OWNER = "policy_owner"


@dataclass(frozen=True, slots=True)
class SignOffEvent:
    """One signature, its withdrawal, or a delegation.

    ``undoes`` is the id of the event that is revoked or reopened. ``factors``: how many proofs of identity were given.
    ``delegation`` is the id of the delegation under which somebody signed. A delegation is ``by`` the delegator ``to``
    the delegate, in ``role``, from ``starts_at`` until ``ends_at``; it is about no subject.
    """

    id: str
    kind: EventKind
    by: str
    role: str
    subject_digest: str
    at: datetime
    reauth_at: datetime | None = None
    undoes: str = ""
    factors: int = 1
    delegation: str = ""
    to: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class People:
    """Who is who now: ``roles`` holds active people only; whoever is missing holds no role."""

    roles: Mapping[str, frozenset[str]]
    requester: str
    contributors: frozenset[str]
    policy_owners: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class Asked:
    """A sign-off rule that applies, with one set of acceptable roles for each person that it asks for."""

    rule: SignOffRule
    slots: tuple[frozenset[str], ...]

    @property
    def roles(self) -> frozenset[str]:
        return frozenset(role for slot in self.slots for role in slot)


@dataclass(frozen=True, slots=True)
class Signature:
    """An approval that counts. ``owner`` is whose slot it fills: the signer's, or who delegated to them."""

    event: SignOffEvent
    owner: str

    @property
    def persons(self) -> frozenset[str]:
        """Everybody who stands behind it; one person stands behind one slot."""
        return frozenset({self.event.by, self.owner})


def flaw(
    event: SignOffEvent,
    events: Sequence[SignOffEvent],
    asked: Asked,
    people: People,
    now: datetime,
    subject_digest: str,
) -> str:
    """Why an approval does not count (a word), or empty."""
    rule = asked.rule
    proved = event.at - event.reauth_at if event.reauth_at else None
    delegated = _delegation(event, events)
    owner = delegated.by if delegated else event.by
    checks = {
        "stale": event.subject_digest != subject_digest,
        "not_a_person": not event.by.startswith("user:") or not owner.startswith("user:"),
        "not_independent": not _independent(rule, people, event, owner),
        "role_not_asked": event.role not in asked.roles,
        "delegation": bool(event.delegation) and not _runs(delegated, event, events, rule, people),
        "role_lost": event.role not in people.roles.get(owner, frozenset()),
        "in_the_future": event.at.replace(microsecond=0) > now,
        "reauthentication": proved is None or not timedelta() <= proved <= rule.reauth_max_age,
        "factors": event.factors < rule.factors,
        "expired": now >= event.at + rule.valid_for,
        "revoked": any(undone(event, other, "revoked", people) for other in events),
        "rejected_later": any(
            other.kind == "rejected"
            and other.by == event.by
            and other.subject_digest == subject_digest
            and other.at >= event.at
            for other in events
        ),
    }
    return next((why for why, wrong in checks.items() if wrong), "")


def signature_of(event: SignOffEvent, events: Iterable[SignOffEvent]) -> Signature:
    """An approval without a flaw, with the person whose slot it fills."""
    delegated = _delegation(event, events)
    return Signature(event, delegated.by if delegated else event.by)


def excluded(rule: SignOffRule, people: People, by: str) -> tuple[str, ...]:
    """Why the rule keeps ``by`` from signing: ``requester``, ``contributor``; empty when it does not."""
    asked = "requester" in rule.exclude and by == people.requester
    made = "contributors" in rule.exclude and by in people.contributors
    return (*(("requester",) if asked else ()), *(("contributor",) if made else ()))


def _independent(rule: SignOffRule, people: People, event: SignOffEvent, owner: str) -> bool:
    """Both people of a delegated signature are, and had no part in it at all; others as the rule says."""
    if event.delegation:
        return all(one != people.requester and one not in people.contributors for one in (event.by, owner))
    return not excluded(rule, people, event.by)


def _delegation(event: SignOffEvent, events: Iterable[SignOffEvent]) -> SignOffEvent | None:
    if not event.delegation:
        return None
    return next((one for one in events if one.kind == "delegated" and one.id == event.delegation), None)


def _runs(
    delegated: SignOffEvent | None,
    event: SignOffEvent,
    events: Sequence[SignOffEvent],
    rule: SignOffRule,
    people: People,
) -> bool:
    """Whether a delegation let the signer sign at that moment. It cannot be passed on: it speaks for who holds the role
    themselves, and gives the delegate nothing that they could delegate.
    """
    if delegated is None or rule.delegation is None or delegated.starts_at is None or delegated.ends_at is None:
        return False
    ended = any(_ends(other, delegated, people) and other.at <= event.at for other in events)
    return (
        delegated.to == event.by
        and delegated.to != delegated.by
        and delegated.role == event.role
        and event.by in people.roles
        and delegated.at <= event.at
        and delegated.starts_at <= event.at < delegated.ends_at
        and delegated.ends_at - delegated.starts_at <= rule.delegation.longest
        and not ended
    )


def _ends(other: SignOffEvent, delegated: SignOffEvent, people: People) -> bool:
    """A delegation ends by either of its two people, or by a policy owner."""
    return (
        other.kind == "revoked"
        and other.undoes == delegated.id
        and (other.by in (delegated.by, delegated.to) or other.role == POLICY_OWNER or _owns(other, people))
    )


def vetoes(
    event: SignOffEvent,
    events: Sequence[SignOffEvent],
    applying: Sequence[Asked],
    people: People,
    subject_digest: str,
) -> bool:
    """A rejection of this subject in a role that may refuse, not reopened.

    Losing the role afterwards does not lift it: otherwise taking a role away could turn a refusal into an approval.
    """
    return (
        event.kind == "rejected"
        and event.subject_digest == subject_digest
        and any(may_refuse(one, event.role) for one in applying)
        and not any(undone(event, other, "reopened", people) for other in events)
    )


def may_refuse(asked: Asked, role: str) -> bool:
    """Whether a refusal in ``role`` blocks what the rule asks for."""
    return role in asked.roles and (asked.rule.veto is None or role in asked.rule.veto)


def undone(event: SignOffEvent, other: SignOffEvent, kind: EventKind, people: People) -> bool:
    """``other`` takes ``event`` back: by its author, or by a policy owner who is independent of the promotion.

    A revocation counts whatever the clock did in between, and stands when the owner is none any more; a reopening needs
    both. Each errs towards not approved.
    """
    if other.kind != kind or other.undoes != event.id:
        return False
    if kind == "revoked":
        return other.by == event.by or other.role == POLICY_OWNER or _owns(other, people)
    return other.at >= event.at and (other.by == event.by or _owns(other, people))


def _owns(other: SignOffEvent, people: People) -> bool:
    return other.by in people.policy_owners and other.by != people.requester and other.by not in people.contributors
