"""Stored signatures, what was taken back of them and who signed for whom, as the pure functions read it.

``rows`` are those of ``facts.counting_signoffs``, which brings all of it in one query.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from governance import access, policies
from governance.models.delegation import Delegation
from governance.models.roles import Action
from governance.models.signoff import Meaning, SignOff
from governance.models.user import User
from governance.policies.signatures import POLICY_OWNER


def events_of(rows: Iterable[SignOff]) -> tuple[policies.SignOffEvent, ...]:
    """Each signature, its withdrawal, and the delegation under which it was given, once."""
    found: dict[str, policies.SignOffEvent] = {}
    for row in rows:
        told = vars(row)
        for event in (event_of(row), _retraction(row, told), *_delegation(told)):
            if event is not None:
                found[event.id] = event
    return tuple(found.values())


def event_of(row: SignOff) -> policies.SignOffEvent:
    """A stored signature by itself."""
    return policies.SignOffEvent(
        id=str(row.pk),
        kind="approved" if row.meaning == Meaning.APPROVE else "rejected",
        by=row.signer,
        role=row.role,
        subject_digest=row.subject_digest,
        at=row.signed_at,
        reauth_at=row.reauth_at,
        delegation=str(vars(row).get("lent") or ""),
        factors=row.factor_count,
    )


def events_about(row: Delegation) -> tuple[policies.SignOffEvent, ...]:
    """A delegation, and its end when somebody ended it."""
    told = {name: getattr(row, name) for name in ("delegator", "delegate", "made_at", "starts_at", "ends_at")}
    ended = {"ended_at": row.ended_at, "ended_by": row.ended_by}
    return _delegation({**told, **ended, "lent": row.reference, "lent_role": row.role})


def persons_of(rows: Iterable[SignOff]) -> set[str]:
    """Actor ids of everybody who had a part in the signatures."""
    names = ("signer", "retracted_by", "delegator", "delegate")
    return {str(vars(row)[name]) for row in rows for name in names if vars(row).get(name)}


def owners_of(rows: Sequence[SignOff], users: Iterable[User]) -> frozenset[str]:
    """Those who took somebody else's signature back and are policy owners now."""
    asked = {str(vars(row)["retracted_by"]) for row in rows if vars(row).get("as_owner")}
    if not asked:
        return frozenset()
    return frozenset(user.actor.id for user in users if user.actor.id in asked and owns_policies(user))


def owns_policies(user: User) -> bool:
    """Whether the person may put policies in force; such a person may take a signature of another back."""
    return user.is_active and not user.is_service and access.held_by_roles(user.roles, Action.POLICY_ACTIVATE)


def _retraction(row: SignOff, told: dict[str, Any]) -> policies.SignOffEvent | None:
    if not told.get("undone"):
        return None
    return policies.SignOffEvent(
        id=f"{row.pk}/{told['undone']}",
        kind="revoked" if told["undone"] == "revoked" else "reopened",
        by=told["retracted_by"],
        role=POLICY_OWNER if told["as_owner"] else "",
        subject_digest=row.subject_digest,
        at=told["retracted_at"],
        undoes=str(row.pk),
    )


def _delegation(told: dict[str, Any]) -> tuple[policies.SignOffEvent, ...]:
    if not told.get("lent"):
        return ()
    made_at: datetime = told["made_at"]
    made = policies.SignOffEvent(
        id=told["lent"],
        kind="delegated",
        by=told["delegator"],
        role=told["lent_role"],
        subject_digest="",
        at=made_at,
        to=told["delegate"],
        starts_at=told["starts_at"],
        ends_at=told["ends_at"],
    )
    if told["ended_at"] is None:
        return (made,)
    over = policies.SignOffEvent(
        id=f"{made.id}/revoked",
        kind="revoked",
        by=told["ended_by"],
        role="",
        subject_digest="",
        at=told["ended_at"],
        undoes=made.id,
    )
    return made, over
