"""What each rule says about each flow and about the version, before any of it is put into words.

Apart from ``explain`` because a back-test asks ten thousand decisions for their word only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from governance.policies.compile import HOLDS, CompiledPack, CompiledRule, Verdict
from governance.policies.facts import Facts
from governance.policies.judging import Case
from governance.policies.results import Outcome


class Judged(NamedTuple):
    """One rule on one item (the JSON form of a flow or a version); ``flow`` is its position, -1 for the version.

    ``failed`` and ``problems`` are the conditions that did not hold, and those that could not be evaluated with why.
    A lack of what a rule needs is named as the failed condition ``evidence`` or ``explanation``.
    ``papers`` are the safeguards, the evidence or the explanations that did not help, with what each lacks; ``by`` is
    the one that did (or the waiver that lets a failure pass), and ``until`` its end, RFC 3339 or empty.
    """

    pack: CompiledPack
    rule: CompiledRule
    outcome: Outcome
    item: Mapping[str, Any]
    flow: int = -1
    failed: Sequence[str] = ()
    problems: Sequence[tuple[str, str]] = ()
    papers: Sequence[tuple[str, Verdict]] = ()
    by: str = ""
    until: str = ""

    @property
    def blocks(self) -> bool:
        """As ``Finding.blocks``."""
        if self.rule.rule.severity != "block":
            return False
        return self.outcome == "error" or (self.outcome == "fail" and not self.by)


def judge(packs: Sequence[CompiledPack], facts: Facts) -> list[Judged]:
    """All rules of all packs. A rule that applies to nothing is ``not_applicable`` to the version."""
    case = Case(facts)
    judged = [one for pack in packs for rule in pack.rules for one in _judge(pack, rule, facts, case)]
    return [_waived(one, facts) for one in judged] if facts.waivers else judged


def _judge(pack: CompiledPack, rule: CompiledRule, facts: Facts, case: Case) -> list[Judged]:
    found: list[Judged] = []
    version = facts.document["version"]
    if pack.speaks(facts):
        items = enumerate(facts.document["flows"]) if rule.rule.scope == "flow" else ((-1, version),)
        when = case.asking(pack, rule.when) if rule.when is not None else None
        require = case.asking(pack, rule.require)
        for flow, item in items:
            applies = when(flow) if when is not None else HOLDS
            verdict = require(flow) if applies is HOLDS else applies
            if verdict is HOLDS and rule.needs is None:
                found.append(Judged(pack, rule, "pass", item, flow))
            elif applies is HOLDS or applies.errors:
                found.append(_with_papers(Judged(pack, rule, "fail", item, flow), verdict, facts, case))
    return found or [Judged(pack, rule, "not_applicable", version)]


def _with_papers(one: Judged, verdict: Verdict, facts: Facts, case: Case) -> Judged:
    """A rule on an item for which it does not simply hold."""
    rule = one.rule
    if verdict.errors:
        return one._replace(outcome="error", problems=verdict.errors)
    if verdict.holds and rule.needs is not None:
        shown = facts.shown(rule.rule.asks_for)
        asked = [case.judge(one.pack, rule.needs, paper=position) for position in range(len(shown))]
        return _helped(one._replace(failed=(rule.rule.asks_for,)), shown, asked)
    if rule.unless is None:
        return one._replace(failed=verdict.failed)
    guards = facts.document["safeguards"]
    asked = [case.judge(one.pack, rule.unless, one.flow, position) for position in range(len(guards))]
    return _helped(one._replace(failed=verdict.failed), guards, asked)


def _helped(one: Judged, papers: Sequence[Mapping[str, Any]], asked: Sequence[Verdict]) -> Judged:
    """A requirement that failed against every paper: the one that lasts longest helps; no end is the longest."""
    helping = [paper for paper, verdict in zip(papers, asked, strict=True) if verdict.holds]
    if helping:
        best = max(helping, key=lambda paper: (not _end(paper), _end(paper)))
        failed = one.failed if one.rule.needs is None else ()
        return one._replace(outcome="pass", failed=failed, by=str(best["id"]), until=_end(best))
    problems = [error for verdict in asked for error in verdict.errors]
    lacking = [(str(paper["id"]), verdict) for paper, verdict in zip(papers, asked, strict=True)]
    return one._replace(outcome="error" if problems else "fail", problems=problems, papers=lacking)


def _end(paper: Mapping[str, Any]) -> str:
    """When it ends; empty when nobody set an end. An explanation has none: whether it is fresh is a fact by itself."""
    return str(paper.get("expires_at", ""))


def _waived(one: Judged, facts: Facts) -> Judged:
    """A failure that two people let pass for a time. What could not be decided stays blocking: nobody knows what it is
    that they would let pass.
    """
    if not (one.rule.rule.waivable and one.blocks and one.outcome == "fail"):
        return one
    now = facts.document["now"]
    #: Whoever asks or trained may have become one of them after they approved.
    partial = {facts.document["promotion"]["requested_by"], *facts.document["version"]["trained_by"]}
    running = [
        waiver
        for waiver in facts.waivers
        if waiver["approved_by"]
        and waiver["approved_by"] not in partial
        and (waiver["pack"], waiver["pack_version"]) == (one.pack.id, one.pack.version)
        and waiver["rule"] == one.rule.rule.id
        and (waiver["version"], waiver["environment"]) == (facts.subject, facts.document["environment"]["slug"])
        and one.item["subject"] in waiver["subjects"]
        and waiver["starts_at"] <= now < waiver["ends_at"]
    ]
    if not running:
        return one
    best = max(running, key=lambda waiver: (waiver["ends_at"], waiver["id"]))
    return one._replace(by=str(best["id"]), until=str(best["ends_at"]))
