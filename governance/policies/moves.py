"""What people can record about data and versions, as a change of the frozen facts. See ``actions``.

Only what nobody knew is filled in, and only with the values that were tried; nothing makes personal data not personal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from governance.policies import explain
from governance.policies.actions import Action, FlowKey, Kind, State, key_of, key_of_finding
from governance.policies.facts import NOWHERE, FlowFact
from governance.policies.flows import DataSetFact, Region, together
from governance.policies.results import Finding
from governance.policies.vocabulary import UNKNOWN


def _with_flows(state: State, change: Callable[[dict[str, Any]], dict[str, Any]]) -> State:
    """The state with each flow changed. What is served follows the data sets, as it does when facts are collected; two
    copies that end in one place are one.
    """
    before = _served(state.document["flows"])
    flows = [change(dict(flow)) for flow in state.document["flows"]]
    after = _served(flows)
    if before != after:
        flows = [{**flow, **after} if flow["kind"] != "dataset" and _holds(flow, before) else flow for flow in flows]
    unique = {key_of(flow): flow for flow in flows}
    return replace(state, document={**state.document, "flows": [unique[key] for key in sorted(unique)]})


def _holds(flow: Mapping[str, Any], values: Mapping[str, Any]) -> bool:
    return all(flow[name] == value for name, value in values.items())


def _served(flows: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Class and people of what is served, from the data sets behind it."""
    sets = [
        DataSetFact(flow["subject"], flow["classification"], (), flow["data_subjects"])
        for flow in flows
        if flow["kind"] == "dataset"
    ]
    classification, people = together(sets)
    values = FlowFact("serving", "-", classification=classification, data_subjects=people).values()
    return {name: values[name] for name in ("classification", "personal", "sensitive", "data_subjects")}


@dataclass(frozen=True)
class Move(Action):
    """Data, a serving place or a log that lie in one place, brought to another. ``also``: places that do as well."""

    flows: tuple[FlowKey, ...]
    to: Region
    also: tuple[Region, ...] = ()
    phase: ClassVar[int] = 2
    KIND: ClassVar[Kind] = "move"
    RANK: ClassVar[int] = 5

    @property
    def name(self) -> str:
        return f"{self.slot}>{self.to.id}"

    @property
    def slot(self) -> str:
        kind, subject, region, claimed = self.flows[0]
        return f"move:{kind}:{subject}:{claimed or region}"

    @property
    def who(self) -> tuple[str, ...]:
        return ("data_scientist", "ml_lead") if self.flows[0][0] == "dataset" else ("ml_lead", "administrator")

    @property
    def where(self) -> str:
        return page_of(self.flows[0][1])

    def details(self) -> dict[str, Any]:
        return {
            "flow": self.flows[0][0],
            "subjects": sorted({key[1] for key in self.flows}),
            "from": self.flows[0][3] or self.flows[0][2],
            "to": [each.id for each in (self.to, *self.also)],
        }

    def fit(self, state: State, blocking: Sequence[Finding]) -> Action:
        """Those of its flows that block at that moment."""
        blocked = {key_of_finding(each) for each in blocking}
        left = tuple(key for key in self.flows if key in blocked)
        return replace(self, flows=left) if left else self

    def applied(self, state: State) -> State:
        keys = frozenset(self.flows)
        return _with_flows(state, lambda flow: _placed(flow, self.to) if key_of(flow) in keys else flow)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        if finding.rule == explain.NO_RULES:
            return True
        return any(finding.subject == key[1] and finding.facts.get("kind") == key[0] for key in self.flows)


def _placed(flow: dict[str, Any], region: Region) -> dict[str, Any]:
    return {**flow, "region": region.id, "claimed_region": region.id, "country": region.country}


def page_of(subject: str) -> str:
    """The page of this site about a subject."""
    kind, _, name = subject.partition(":")
    return {"dataset": f"/datasets/{name}", "environment": f"/environments/{name}"}.get(kind, "")


@dataclass(frozen=True)
class Describe(Action):
    """What nobody recorded about data sets: class, people, place. Only what is unknown changes, to the values tried."""

    subjects: tuple[str, ...]
    classification: str = ""
    people: tuple[str, ...] = ()
    region: Region | None = None
    phase: ClassVar[int] = 0
    KIND: ClassVar[Kind] = "describe_data"
    RANK: ClassVar[int] = 1
    WHO: ClassVar[tuple[str, ...]] = ("data_scientist", "dpo")

    @property
    def name(self) -> str:
        tried = (self.classification, ",".join(self.people), self.region.id if self.region else "")
        return f"{self.slot}={'/'.join(tried)}"

    @property
    def slot(self) -> str:
        return f"describe:{self.subjects[0]}"

    @property
    def where(self) -> str:
        return page_of(self.subjects[0])

    def details(self) -> dict[str, Any]:
        tried: dict[str, Any] = {}
        if self.classification:
            tried["classification"] = self.classification
        if self.people:
            tried["data_subjects"] = list(self.people)
        if self.region:
            tried["region"] = self.region.id
        return {"subjects": list(self.subjects), "tried": tried}

    def applied(self, state: State) -> State:
        return _with_flows(state, self._described)

    def _described(self, flow: dict[str, Any]) -> dict[str, Any]:
        if flow["kind"] != "dataset" or flow["subject"] not in self.subjects:
            return flow
        if self.classification and flow["classification"] == UNKNOWN:
            flow |= {
                "classification": self.classification,
                "personal": True,
                "sensitive": self.classification != "personal",
            }
        if self.people and UNKNOWN in flow["data_subjects"]:
            flow["data_subjects"] = sorted({*flow["data_subjects"], *self.people} - {UNKNOWN})
        return _placed(flow, self.region) if self.region and nowhere(flow) else flow

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        key = key_of_finding(finding)
        return key is None or key[0] != "dataset" or key[1] in self.subjects or "data" in reads


def nowhere(flow: Mapping[str, Any]) -> bool:
    """Nobody said where it is. A place that somebody named and that is not confirmed is another matter."""
    return flow["region"] == NOWHERE and not flow["claimed_region"]


@dataclass(frozen=True)
class Complete(Action):
    """What a version lacks: the digest of its files (``digest``) or who trained it (``trained_by``)."""

    field: str
    subject: str
    phase: ClassVar[int] = 0
    KIND: ClassVar[Kind] = "complete_version"
    RANK: ClassVar[int] = 1
    WHO: ClassVar[tuple[str, ...]] = ("data_scientist", "ml_lead")
    #: Stand-ins for what the registry will hold: any digest, any person with an account.
    TRIED: ClassVar[Mapping[str, Any]] = {"digest": "sha256:" + "0" * 64, "trained_by": ["user:somebody"]}

    @property
    def name(self) -> str:
        return f"complete:{self.field}"

    @property
    def where(self) -> str:
        return "/models/" + self.subject.removeprefix("version:")

    def details(self) -> dict[str, Any]:
        return {"subject": self.subject, "field": self.field}

    def applied(self, state: State) -> State:
        version = {**state.document["version"], self.field: self.TRIED[self.field]}
        return replace(state, document={**state.document, "version": version})

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return "version" in reads or finding.rule == explain.NO_RULES
