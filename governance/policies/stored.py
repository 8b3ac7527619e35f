"""What is kept with a decision beside its facts, so that it can be made again: the signatures, and who was who.

``Inputs`` is that, ``decide`` makes a decision of facts, packs and inputs alone, and ``result_digest`` is the address
of what came out. The gate, a replay and a back-test all go through ``decide``: nothing that decides is written twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from governance.policies import breaking
from governance.policies.compile import CompiledPack
from governance.policies.evaluate import conclude, concluded, evaluate, word_of
from governance.policies.facts import Facts, MissingFact, digest_of
from governance.policies.quorum import signoff_state
from governance.policies.results import Decision, Word
from governance.policies.signatures import EventKind, People, SignOffEvent

FORMAT = "countersign-inputs/1"
RESULT_FORMAT = "countersign-result/1"
_KEYS = frozenset({"format", "signoffs_needed", "subject_digest", "events", "people"})


@dataclass(frozen=True, slots=True)
class Inputs:
    """The signatures that were there, who held which role, and the subject that counts: ``sha256:`` of its parts.

    ``needed`` is False for what asks for no signatures, such as a rollback.
    """

    events: tuple[SignOffEvent, ...]
    people: People
    subject_digest: str
    needed: bool = True

    def as_json(self) -> dict[str, Any]:
        """JSON without floats, in an order that does not depend on the caller's."""
        return {
            "format": FORMAT,
            "signoffs_needed": self.needed,
            "subject_digest": self.subject_digest,
            "events": [_event_json(one) for one in sorted(self.events, key=lambda one: (one.at, one.id))],
            "people": {
                "roles": {person: sorted(roles) for person, roles in self.people.roles.items()},
                "requester": self.people.requester,
                "contributors": sorted(self.people.contributors),
                "policy_owners": sorted(self.people.policy_owners),
            },
        }


@dataclass(frozen=True, slots=True)
class Decided:
    """The verdict of rules and signatures together, and the state of the signatures as JSON."""

    decision: Decision
    signoff: Mapping[str, Any]


def decide(packs: Sequence[CompiledPack], facts: Facts, inputs: Inputs) -> Decided:
    """Rules over facts, then the signatures. Pure; never raises for what a rule, a fact or a signature says."""
    verdict = evaluate(packs, facts)
    if not inputs.needed:
        return Decided(verdict, {"state": "not_required", "missing": []})
    state = signoff_state(packs, facts, inputs.events, inputs.people, inputs.subject_digest)
    verdict, emergency = breaking.lane(
        conclude(verdict, state), state, packs, facts, inputs.people, inputs.subject_digest
    )
    told = state.as_json()
    if emergency:
        told |= {"state": "emergency", "emergency": emergency, "skipped": told["missing"], "missing": []}
    return Decided(verdict, told)


def outcome(packs: Sequence[CompiledPack], facts: Facts, inputs: Inputs) -> Word:
    """The word of ``decide`` without its explanation."""
    if facts.emergencies:
        return decide(packs, facts, inputs).decision.word
    word = word_of(packs, facts)
    if word != "allow" or not inputs.needed:
        return word
    return concluded(word, signoff_state(packs, facts, inputs.events, inputs.people, inputs.subject_digest))


def read_inputs(document: Mapping[str, Any]) -> Inputs:
    """The inverse of ``Inputs.as_json``. Raises ``MissingFact`` for anything that is not exactly that."""
    if set(document) != _KEYS or document["format"] != FORMAT:
        raise MissingFact("inputs", "inputs", f"The signatures are not kept in the form {FORMAT}.")
    try:
        people = document["people"]
        inputs = Inputs(
            events=tuple(_event(one) for one in document["events"]),
            people=People(
                roles={person: frozenset(roles) for person, roles in people["roles"].items()},
                requester=people["requester"],
                contributors=frozenset(people["contributors"]),
                policy_owners=frozenset(people["policy_owners"]),
            ),
            subject_digest=document["subject_digest"],
            needed=document["signoffs_needed"],
        )
        whole = inputs.as_json() == document
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration) as error:
        raise MissingFact("inputs", "inputs", f"The signatures cannot be read: {error}.") from error
    if not whole:
        raise MissingFact("inputs", "inputs", "The signatures are not kept in their canonical form.")
    return inputs


def result_digest(
    outcome: str,
    summary: str,
    findings: Sequence[Mapping[str, Any]],
    *,
    signoff: Mapping[str, Any],
    policy: Sequence[Mapping[str, Any]],
    facts_digest: str,
    inputs: Mapping[str, Any],
) -> str:
    """``sha256:`` of everything that the decision says and of what it was made from.

    The engine's version is no part of it: a newer engine must come to the same result.
    """
    return digest_of(
        {
            "format": RESULT_FORMAT,
            "outcome": outcome,
            "summary": summary,
            "findings": list(findings),
            "signoff": signoff,
            "policy": list(policy),
            "facts": facts_digest,
            "inputs": inputs,
        }
    )


def _event_json(one: SignOffEvent) -> dict[str, Any]:
    """What came to an event later is kept where it is said, so that older inputs are still read and written alike."""
    window = {"starts_at": one.starts_at, "ends_at": one.ends_at}
    return {
        "id": one.id,
        "kind": one.kind,
        "by": one.by,
        "role": one.role,
        "subject_digest": one.subject_digest,
        "at": one.at.isoformat(),
        "reauth_at": one.reauth_at.isoformat() if one.reauth_at else "",
        "undoes": one.undoes,
        **({"factors": one.factors} if one.factors != 1 else {}),
        **({"delegation": one.delegation} if one.delegation else {}),
        **({"to": one.to} if one.to else {}),
        **{name: at.isoformat() for name, at in window.items() if at is not None},
    }


def _event(document: Mapping[str, Any]) -> SignOffEvent:
    kinds: tuple[EventKind, ...] = get_args(EventKind)
    return SignOffEvent(
        id=document["id"],
        kind=next(kind for kind in kinds if kind == document["kind"]),
        by=document["by"],
        role=document["role"],
        subject_digest=document["subject_digest"],
        at=_moment(document["at"]),
        reauth_at=_moment(document["reauth_at"]) if document["reauth_at"] else None,
        undoes=document["undoes"],
        factors=document.get("factors", 1),
        delegation=document.get("delegation", ""),
        to=document.get("to", ""),
        starts_at=_moment(document["starts_at"]) if "starts_at" in document else None,
        ends_at=_moment(document["ends_at"]) if "ends_at" in document else None,
    )


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    if found.tzinfo is None:
        raise ValueError(f"{text} has no time zone")
    return found
