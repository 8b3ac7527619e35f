"""What lets a version pass on paper: evidence that is supplied, and leave for a time (a waiver). See ``actions``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

from governance.policies.actions import YEAR, Action, Kind, State, with_row
from governance.policies.results import Finding
from governance.policies.vocabulary import format_time, parse_time

#: How long a waiver that is tried runs, and the stand-in for who approves it.
MONTH = timedelta(days=30)
_SOMEBODY = "user:somebody"
#: What a new explanation is taken to be: by the estimator that the rules choose, of a sample against the usual rows.
_ALGORITHM = {"shap": "pair_perm", "lime": "lime"}
_ROWS, _BACKGROUND = 200, 100
METHODS = tuple(_ALGORITHM)


@dataclass(frozen=True)
class Supply(Action):
    """A new piece of evidence of one type about exactly this version and environment. Its content is not tried."""

    type: str
    roles: tuple[str, ...] = ("data_scientist", "ml_lead")
    page: str = ""
    phase: ClassVar[int] = 3
    KIND: ClassVar[Kind] = "supply_evidence"
    RANK: ClassVar[int] = 2

    @property
    def name(self) -> str:
        return f"evidence:{self.type}"

    @property
    def who(self) -> tuple[str, ...]:
        return self.roles

    @property
    def where(self) -> str:
        return self.page

    def details(self) -> dict[str, Any]:
        return {"type": self.type}

    def applied(self, state: State) -> State:
        document = state.document
        now = document["now"]
        row = {
            "id": f"new:{self.type}",
            "type": self.type,
            "status": "active",
            "subject": document["version"]["subject"],
            "digest": "sha256:" + "0" * 64,
            "artifact_digest": document["version"]["digest"],
            "environment": document["environment"]["slug"],
            "issued_by": _SOMEBODY,
            "issued_at": now,
            "expires_at": format_time(parse_time(now) + YEAR),
        }
        return with_row(state, "evidence", row)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return "evidence" in reads


@dataclass(frozen=True)
class Explain(Action):
    """A new explanation by one method, asked of exactly these files in this environment, that ends as evidence."""

    method: str
    roles: tuple[str, ...] = ("data_scientist",)
    page: str = ""
    phase: ClassVar[int] = 3
    KIND: ClassVar[Kind] = "run_explanation"
    RANK: ClassVar[int] = 2

    @property
    def name(self) -> str:
        return f"explanation:{self.method}"

    @property
    def who(self) -> tuple[str, ...]:
        return self.roles

    @property
    def where(self) -> str:
        return self.page

    def details(self) -> dict[str, Any]:
        return {"method": self.method}

    def applied(self, state: State) -> State:
        document = state.document
        row = {
            "id": f"new:{self.method}",
            "subject": document["version"]["subject"],
            "version_digest": document["version"]["digest"],
            "method": self.method,
            "algorithm": _ALGORITHM[self.method],
            "level": "standard",
            "scale": "probability",
            "standing": "evidence",
            "fresh": True,
            "stale": [],
            "stable": True,
            "erased": False,
            "rows": _ROWS,
            "background": _BACKGROUND,
            "finished_at": document["now"],
            "environment": document["environment"]["slug"],
            "receipt": "sha256:" + "0" * 64,
        }
        return with_row(state, "explanations", row)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return "explanation" in reads


@dataclass(frozen=True)
class ApproveWaiver(Action):
    """A waiver that somebody proposed, approved by a second person."""

    id: str
    pack: str
    rule: str
    phase: ClassVar[int] = 4
    temporary: ClassVar[bool] = True
    KIND: ClassVar[Kind] = "approve_waiver"
    RANK: ClassVar[int] = 6

    @property
    def name(self) -> str:
        return f"waiver:{self.id}"

    @property
    def where(self) -> str:
        return f"/waivers/{self.id}"

    def details(self) -> dict[str, Any]:
        return {"waiver": self.id, "pack": self.pack, "rule": self.rule}

    def applied(self, state: State) -> State:
        row = next(one for one in state.document["waivers"] if one["id"] == self.id)
        return with_row(state, "waivers", {**row, "approved_by": _SOMEBODY})

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return (finding.pack, finding.rule) == (self.pack, self.rule)


@dataclass(frozen=True)
class Waive(Action):
    """A new waiver of one rule for what fails it, recorded by one person and approved by another."""

    pack: str
    rule: str
    subjects: tuple[str, ...] = ()
    phase: ClassVar[int] = 4
    temporary: ClassVar[bool] = True
    KIND: ClassVar[Kind] = "record_waiver"
    RANK: ClassVar[int] = 7
    WHERE: ClassVar[str] = "/waivers/new"

    @property
    def name(self) -> str:
        return f"waive:{self.pack}/{self.rule}"

    def details(self) -> dict[str, Any]:
        return {"pack": self.pack, "rule": self.rule, "subjects": list(self.subjects)}

    def fit(self, state: State, blocking: Sequence[Finding]) -> Action:
        failing = {one.subject for one in blocking if (one.pack, one.rule) == (self.pack, self.rule)}
        return replace(self, subjects=tuple(sorted(failing)))

    def applied(self, state: State) -> State:
        """The facts with it, for a month; as they were when nothing fails the rule."""
        if not self.subjects:
            return state
        document = state.document
        row = {
            "id": f"new:{self.pack}/{self.rule}",
            "pack": self.pack,
            "pack_version": next(pack.version for pack in state.packs if pack.id == self.pack),
            "rule": self.rule,
            "version": document["version"]["subject"],
            "environment": document["environment"]["slug"],
            "subjects": list(self.subjects),
            "approved_by": _SOMEBODY,
            "starts_at": document["now"],
            "ends_at": format_time(parse_time(document["now"]) + MONTH),
        }
        return with_row(state, "waivers", row)

    def touches(self, finding: Finding, reads: frozenset[str]) -> bool:
        return (finding.pack, finding.rule) == (self.pack, self.rule)
