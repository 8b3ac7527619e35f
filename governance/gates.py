"""A decision as people read it: one line for each gate, and the verdict in a sentence. Pure; decides nothing."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from governance import wording
from governance.models.decision import Decision, Outcome
from governance.models.promotion import Promotion, PromotionState
from governance.models.roles import Role
from governance.models.waiver import Waiver

Finding = Mapping[str, Any]
_SHOWN = re.compile(r": shown by (EV-\S+|explanation:\d+)\.$")  # as ``policies.explain`` words it
#: What is read first: exceptions before what is quiet.
_ORDER = ("failed", "error", "emergency", "waiting", "warned", "waived", "passed", "not_applicable")


@dataclass(slots=True)
class GateLine:
    """A rule with all its findings. ``state`` is a word of ``config.states``."""

    rule: str
    title: str
    pack: str
    cites: Sequence[str] = ()
    state: str = "passed"
    problems: list[Finding] = field(default_factory=list)
    waived: list[Finding] = field(default_factory=list)
    #: Findings that failed and that a waiver excuses; a page adds the waivers, or the address that proposes one.
    excused: list[Finding] = field(default_factory=list)
    waivers: list[Waiver] = field(default_factory=list)
    propose: str = ""
    #: Evidence or explanations by which rules that ask for them passed.
    shown_by: list[str] = field(default_factory=list)
    passed: int = 0
    missing: list[Mapping[str, Any]] = field(default_factory=list)

    @property
    def said(self) -> list[wording.Said]:
        """What is wrong, with findings that say the same about one subject told once."""
        return wording.merged(self.problems)

    @property
    def said_excused(self) -> list[wording.Said]:
        """What failed and is excused."""
        return wording.merged(self.excused)

    @property
    def remedies(self) -> list[wording.Remedy]:
        """How to pass, each way once."""
        return wording.remedies(self.problems)

    @property
    def suppliers(self) -> list[str]:
        """The roles that can supply what is missing."""
        return wording.suppliers(self.problems)

    @property
    def note(self) -> str:
        """What held, in one line, for a gate without problems."""
        if self.state == "not_applicable":
            return _("Does not apply here.")
        if self.shown_by:
            explained = self.shown_by[0].startswith("explanation:")
            return _("Shown by an explanation:") if explained else _("Shown by evidence:")
        if self.waived:
            lawful = ", ".join(sorted({str(each["waived_by"]) for each in self.waived}))
            return _("Lawful by %(safeguards)s.") % {"safeguards": lawful}
        if not self.pack:
            return ngettext("%(n)d person signed.", "%(n)d people signed.", self.passed) % {"n": self.passed}
        return ngettext("Holds for %(n)d subject.", "Holds for %(n)d subjects.", self.passed) % {"n": self.passed}


def lines(decision: Decision) -> list[GateLine]:
    """Every gate of a decision, exceptions first, the sign-off rules among them."""
    found: dict[tuple[str, str], GateLine] = {}
    for each in decision.findings:
        key = (str(each["pack"]), str(each["rule"]))
        line = found.setdefault(key, GateLine(str(each["rule"]), str(each["title"]), str(each["pack"]), each["cites"]))
        _add(line, each)
    for line in found.values():
        line.state = _state(line)
    result = [*found.values(), *_signoff_lines(decision.signoff)]
    return sorted(result, key=lambda line: _ORDER.index(line.state))


def _add(line: GateLine, each: Finding) -> None:
    if wording.is_problem(each):
        line.problems.append(each)
    elif each["outcome"] == "fail":
        line.excused.append(each)
    elif each["outcome"] == "pass":
        line.passed += 1
        if each["waived_by"]:
            line.waived.append(each)
        elif shown := _SHOWN.search(str(each["message"])):
            line.shown_by.append(shown[1])


def _state(line: GateLine) -> str:
    blocking = [each for each in line.problems if each["severity"] == "block"]
    if any(each["outcome"] == "fail" for each in blocking):
        return "failed"
    if any(each["outcome"] == "error" for each in line.problems):
        return "error"
    if line.problems:
        return "warned"
    if any(not each["pack"] for each in line.excused):
        return "emergency"
    if line.waived or line.excused:
        return "waived"
    return "passed" if line.passed else "not_applicable"


def _signoff_lines(signoff: Mapping[str, Any]) -> list[GateLine]:
    rules = {str(each["rule"]) for key in ("missing", "filled") for each in signoff.get(key, [])}
    result = []
    for rule in sorted(rules):
        missing = [each for each in signoff.get("missing", []) if each["rule"] == rule]
        filled = [each for each in signoff.get("filled", []) if each["rule"] == rule]
        line = GateLine(rule, _("Signed by the people that the policy asks for"), "", missing=missing)
        line.state = "waiting" if missing else "passed"
        line.passed = len(filled)
        result.append(line)
    return result


def helpers(found: Sequence[GateLine]) -> set[str]:
    """The roles whose holders can help: who may sign, and who can supply what is missing."""
    signers = {str(each["role"]) for line in found for each in line.missing if each["role"] != "any"}
    return signers | {str(role) for line in found for each in line.problems for role in each["who"]}


def counted(found: Sequence[GateLine]) -> tuple[int, int]:
    """How many gates hold, of how many that apply."""
    applying = [line for line in found if line.state != "not_applicable"]
    return sum(1 for line in applying if line.state in ("passed", "waived", "warned")), len(applying)


def why_not(findings: Sequence[Finding]) -> str:
    """The first thing that blocks, and how many more the page tells of; empty when nothing does."""
    by_rule: dict[tuple[str, str], list[Finding]] = {}
    for each in findings:
        if wording.blocks(each):
            by_rule.setdefault((str(each["pack"]), str(each["rule"])), []).append(each)
    told = [said for problems in by_rule.values() for said in wording.merged(problems)]
    if not told:
        return ""
    first, rest = told[0].messages[0].rstrip("."), len(told) - 1
    if not rest:
        return _("%(first)s.") % {"first": first}
    return ngettext("%(first)s; and %(n)d more finding.", "%(first)s; and %(n)d more findings.", rest) % {
        "first": first,
        "n": rest,
    }


def role_name(role: str) -> str:
    """A role in words."""
    return str(dict(Role.choices).get(role, role)) if role != "any" else _("one more of the roles asked for")


def verdict(promotion: Promotion, decision: Decision | None) -> str:
    """The first sentence of a promotion's page."""
    state = promotion.state
    if state == PromotionState.BLOCKED and decision is not None:
        return _("Blocked: %(why)s") % {"why": why_not(decision.findings) or decision.summary}
    if state == PromotionState.IN_REVIEW and decision is not None:
        names = [role_name(str(each["role"])) for each in decision.signoff.get("missing", [])]
        return _("Waiting for sign-off: %(who)s.") % {"who": _(" and ").join(names)}
    if state == PromotionState.APPROVED and decision is not None:
        if decision.outcome == Outcome.ALLOW and decision.signoff.get("emergency"):
            return _("Emergency %(reference)s: it may go without its signatures, for a time; nobody approved it.") % {
                "reference": decision.signoff["emergency"]
            }
        if decision.outcome == Outcome.ALLOW:
            return _("Approved: everybody who must has signed; the pipeline may ask for its permit.")
        return _("Approved, but the newest check says: %(summary)s") % {"summary": decision.summary}
    return {
        PromotionState.REJECTED.value: _("Rejected: a person who may said no. Request a new promotion to try again."),
        PromotionState.WITHDRAWN.value: _("Withdrawn by its requester."),
        PromotionState.SUPERSEDED.value: _("Superseded: a newer version was requested for the same environment."),
        PromotionState.EXPIRED.value: _("Expired: it was not approved and deployed in time."),
        PromotionState.DEPLOYED.value: _("Deployed: the permit was used, and the version serves or has served there."),
    }.get(state, _("Requested: not decided yet."))
