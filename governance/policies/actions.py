"""What people can do about a denial, each a value that changes the frozen facts as if it had been done.

Nothing here says what a rule accepts: an action is applied to a copy of the facts, and the engine is asked again. A
change to data is only ever made stricter or moved: nothing makes personal data not personal.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar, Literal

from governance.policies import explain
from governance.policies.compile import CompiledPack
from governance.policies.facts import NOWHERE
from governance.policies.results import Finding
from governance.policies.vocabulary import STRUCTS, UNKNOWN, format_time, parse_time

Kind = Literal[
    "approve_safeguard",
    "renew_safeguard",
    "record_safeguard",
    "describe_data",
    "complete_version",
    "activate_pack",
    "move",
    "supply_evidence",
    "run_explanation",
    "approve_waiver",
    "record_waiver",
    "lift_incident",
    "review_emergency",
]
Document = Mapping[str, Any]
#: kind, subject, region and claimed region: what tells one flow from another.
FlowKey = tuple[str, str, str, str]
#: How long a new or renewed safeguard is taken to last.
YEAR = timedelta(days=365)
#: Fields of a safeguard that a renewal may mend, in the order in which they are told.
MENDABLE = ("status", "expires_at", "subjects", "regions", "risk_assessment_at")


@dataclass(frozen=True, slots=True)
class State:
    """The packs in force and the facts, as they are or as they would be."""

    packs: tuple[CompiledPack, ...]
    document: Document


class Action:
    """One thing that somebody can do. ``phase`` orders what is done first, ``slot`` excludes two of one kind, and the
    lower ``rank`` is done rather than the higher.
    """

    phase: ClassVar[int]
    #: The kinds of action that take no longer than they must.
    temporary: ClassVar[bool] = False
    KIND: ClassVar[Kind]
    RANK: ClassVar[int]
    #: Roles that can do it.
    WHO: ClassVar[tuple[str, ...]] = ("dpo", "compliance_officer")
    #: Path of the page for it.
    WHERE: ClassVar[str] = ""

    @property
    def kind(self) -> Kind:
        return self.KIND

    @property
    def rank(self) -> int:
        return self.RANK

    @property
    def who(self) -> tuple[str, ...]:
        return self.WHO

    @property
    def where(self) -> str:
        return self.WHERE

    @property
    def name(self) -> str:
        """The same in every run; what orders actions that are alike in everything else."""
        raise NotImplementedError

    @property
    def slot(self) -> str:
        """Two actions of one slot are alternatives."""
        return self.name

    def details(self) -> dict[str, Any]:
        """What the sentence about it is made of, JSON without floats."""
        raise NotImplementedError

    def fit(self, state: State, blocking: Sequence[Finding]) -> Action:
        """This action cut to what blocks in ``state``."""
        return self

    def applied(self, state: State) -> State:
        """The packs and facts as they would be afterwards."""
        raise NotImplementedError

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        """Whether it changes anything on which ``finding`` depends. ``reads`` are the variables of its rule."""
        raise NotImplementedError


def as_json(action: Action) -> dict[str, Any]:
    """The action as data: what, who, where, and what the sentence about it is made of."""
    return {"kind": action.kind, "who": list(action.who), "where": action.where, **action.details()}


def key_of(flow: Mapping[str, Any]) -> FlowKey:
    return flow["kind"], flow["subject"], flow["region"], flow["claimed_region"]


def key_of_finding(finding: Finding) -> FlowKey | None:
    """The flow that a finding is about; None when it is about the version."""
    facts = finding.facts
    if "claimed_region" not in facts:
        return None
    return str(facts["kind"]), finding.subject, str(facts["region"]), str(facts["claimed_region"])


def knows_law(document: Document) -> bool:
    """Whether facts of this format say under whose law a safeguard was made."""
    known = int(str(document["format"]).rpartition("/")[2])
    return any(word.name == "law" and word.since <= known for word in STRUCTS["Safeguard"])


def _blocked_places(blocking: Sequence[Finding]) -> tuple[set[str], set[str]]:
    """Subjects and regions of the flows that a safeguard could cover: those that lie in a known place."""
    keys = [key for each in blocking if each.pack and (key := key_of_finding(each)) and key[2] != NOWHERE]
    return {key[1] for key in keys}, {key[2] for key in keys}


def covered_by_one(blocking: Sequence[Finding]) -> bool:
    """Whether there is anything that a safeguard could cover."""
    return bool(_blocked_places(blocking)[0])


@dataclass(frozen=True)
class Mend(Action):
    """An existing safeguard, approved or renewed. ``mends`` are the fields that change, empty before it is fitted."""

    id: str
    mends: tuple[str, ...] = ()
    values: tuple[tuple[str, Any], ...] = ()
    #: Nothing but these is mended.
    only: tuple[str, ...] = MENDABLE
    #: Subjects and regions that it did not cover before.
    added: tuple[str, ...] = ()
    phase: ClassVar[int] = 3

    @property
    def kind(self) -> Kind:
        return "approve_safeguard" if self.mends == ("status",) else "renew_safeguard"

    @property
    def rank(self) -> int:
        return 0 if self.kind == "approve_safeguard" else 2

    @property
    def name(self) -> str:
        return f"safeguard:{self.id}"

    @property
    def where(self) -> str:
        return f"/transfers/{self.id}"

    def details(self) -> dict[str, Any]:
        given = {name: list(value) if isinstance(value, tuple) else value for name, value in self.values}
        return {"safeguard": self.id, "changes": list(self.mends), "to": given, "added": list(self.added)}

    def fit(self, state: State, blocking: Sequence[Finding]) -> Action:
        """With all that it lacks mended, for everything that blocks at that moment."""
        found = next(one for one in state.document["safeguards"] if one["id"] == self.id)
        now = state.document["now"]
        subjects, regions = _blocked_places(blocking)
        values = {
            "status": "active",
            "expires_at": found["expires_at"] if found["expires_at"] > now else _later(now),
            "subjects": tuple(sorted({*found["subjects"], *subjects})),
            "regions": tuple(sorted({*found["regions"], *regions})),
            "risk_assessment_at": found["risk_assessment_at"] if "" < found["risk_assessment_at"] <= now else now,
        }
        mends = tuple(
            name
            for name in self.only
            if values[name] != (tuple(found[name]) if isinstance(found[name], list) else found[name])
        )
        more = {name: sorted({*values[name]} - {*found[name]}) for name in ("subjects", "regions") if name in mends}
        added = tuple(each for name in more for each in more[name])
        return Mend(self.id, mends, tuple((name, values[name]) for name in mends), self.only, added)

    def without(self, name: str) -> Mend:
        """The same without mending the field ``name``."""
        left = tuple(each for each in self.mends if each != name)
        values = dict(self.values)
        added = tuple(each for each in self.added if name not in ("subjects", "regions") or each not in values[name])
        return Mend(self.id, left, tuple((each, values[each]) for each in left), left, added)

    def applied(self, state: State) -> State:
        change = {name: list(value) if isinstance(value, tuple) else value for name, value in self.values}
        guards = [{**one, **change} if one["id"] == self.id else one for one in state.document["safeguards"]]
        return replace(state, document={**state.document, "safeguards": guards})

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return "safeguard" in reads


def _later(now: str) -> str:
    return format_time(parse_time(now) + YEAR)


@dataclass(frozen=True)
class Record(Action):
    """A new safeguard of one type under one law. ``also`` are types that do the same; it covers what blocks."""

    type: str
    law: str
    also: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    regions: tuple[str, ...] = ()
    phase: ClassVar[int] = 4
    KIND: ClassVar[Kind] = "record_safeguard"
    RANK: ClassVar[int] = 3
    WHERE: ClassVar[str] = "/transfers/new"

    @property
    def name(self) -> str:
        return f"new:{self.type}:{self.law}" if self.law else f"new:{self.type}"

    def details(self) -> dict[str, Any]:
        return {
            "types": [self.type, *self.also],
            "law": self.law,
            "subjects": list(self.subjects),
            "regions": list(self.regions),
        }

    def fit(self, state: State, blocking: Sequence[Finding]) -> Action:
        subjects, regions = _blocked_places(blocking)
        return replace(self, subjects=tuple(sorted(subjects)), regions=tuple(sorted(regions)))

    def applied(self, state: State) -> State:
        """The facts with it, in force for a year and assessed now; as they were when there is nothing to cover."""
        if not self.subjects:
            return state
        now = state.document["now"]
        values = {
            "id": self.name,
            "type": self.type,
            "status": "active",
            "subjects": list(self.subjects),
            "regions": list(self.regions),
            "expires_at": _later(now),
            "risk_assessment_at": now,
            "law": self.law or UNKNOWN,
        }
        guard = {name: value for name, value in values.items() if name != "law" or knows_law(state.document)}
        return replace(state, document={**state.document, "safeguards": [*state.document["safeguards"], guard]})

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return "safeguard" in reads


def with_row(state: State, name: str, row: Mapping[str, Any]) -> State:
    """The state with ``row`` in the list ``name``, in the place of one with the same id."""
    others = [one for one in state.document.get(name, ()) if one["id"] != row["id"]]
    return replace(state, document={**state.document, name: sorted([*others, row], key=lambda one: str(one["id"]))})


@dataclass(frozen=True)
class Activate(Action):
    """A pack that is known here and not in force, for people or a law of which no rule speaks."""

    pack: CompiledPack
    phase: ClassVar[int] = 1
    KIND: ClassVar[Kind] = "activate_pack"
    RANK: ClassVar[int] = 4
    WHO: ClassVar[tuple[str, ...]] = ("compliance_officer", "dpo")

    @property
    def name(self) -> str:
        return f"activate:{self.pack.id}"

    @property
    def where(self) -> str:
        return f"/policies/{self.pack.id}/{self.pack.version}"

    def details(self) -> dict[str, Any]:
        return {"pack": self.pack.id, "version": self.pack.version, "title": self.pack.title}

    def applied(self, state: State) -> State:
        return replace(state, packs=(*state.packs, self.pack))

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return finding.rule in (explain.UNCOVERED, explain.NO_RULES)


@dataclass(frozen=True)
class Lift(Action):
    """The freeze of an incident lifted, when its cause is gone."""

    id: str
    phase: ClassVar[int] = 5
    KIND: ClassVar[Kind] = "lift_incident"
    RANK: ClassVar[int] = 8
    WHO: ClassVar[tuple[str, ...]] = ("compliance_officer", "dpo")

    @property
    def name(self) -> str:
        return f"lift:{self.id}"

    @property
    def where(self) -> str:
        return f"/incidents/{self.id}"

    def details(self) -> dict[str, Any]:
        return {"incident": self.id}

    def applied(self, state: State) -> State:
        left = [one for one in state.document["incidents"] if one["id"] != self.id]
        document = {name: value for name, value in state.document.items() if name != "incidents"}
        return replace(state, document={**document, "incidents": left} if left else document)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return finding.rule == explain.FROZEN and finding.facts.get("id") == self.id


@dataclass(frozen=True)
class Review(Action):
    """An emergency looked back at, ratified or not."""

    id: str
    by: tuple[str, ...]
    phase: ClassVar[int] = 5
    KIND: ClassVar[Kind] = "review_emergency"
    RANK: ClassVar[int] = 1

    @property
    def name(self) -> str:
        return f"review:{self.id}"

    @property
    def who(self) -> tuple[str, ...]:
        return self.by

    @property
    def where(self) -> str:
        return f"/emergencies/{self.id}"

    def details(self) -> dict[str, Any]:
        return {"emergency": self.id}

    def applied(self, state: State) -> State:
        left = [one for one in state.document["reviews"] if one["id"] != self.id]
        document = {name: value for name, value in state.document.items() if name != "reviews"}
        return replace(state, document={**document, "reviews": left} if left else document)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return finding.rule == explain.OVERDUE and finding.facts.get("id") == self.id
