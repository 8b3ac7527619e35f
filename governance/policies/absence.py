"""The lint that refuses allow by absence: a residency rule that grows milder when less is known.

Facts fail closed when they are frozen: unknown reads as sensitive personal data of unknown people, nowhere. A rule can
undo that by comparing a fact so that ``unknown`` falls out (``flow.classification == 'personal'``), or by naming what
is forbidden instead of what is allowed (``flow.country != 'CN'``). So every enabled, blocking residency rule is
evaluated here, as compiled, on probes: data outside every place that is known, without any safeguard, once with a known
classification and once without, for each kind of flow, action, tier and people. Three things are refused:

1. the rule passes on a probe: somewhere unknown counts as lawful;
2. the rule stops a known class of data but not the same data unclassified;
3. the rule stops no probe at all: whatever it is about, unknown data are not.

The people of the probes are those of the pack's ``jurisdiction``, each by itself; without one they are unknown, because
such a pack speaks about everybody. People whom nobody knows need no probe of their own in a pack about other people:
``ENGINE-COVERAGE`` denies them whatever a pack says. The perimeter of the probes is the first jurisdiction too, and
unknown otherwise. Conditions on what is never unknown (kind, action, tier) are free; where a pack applies belongs into
``applies``, which the coverage rule watches. The check is of behaviour on these probes, not a proof about all facts.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, time
from itertools import product

from governance.policies.compile import CompiledPack, CompiledRule
from governance.policies.evaluate import evaluate
from governance.policies.facts import (
    FLOW_KINDS,
    EnvironmentFact,
    Facts,
    FlowFact,
    ModelFact,
    PromotionFact,
    VersionFact,
    freeze,
)
from governance.policies.schema import TIERS
from governance.policies.vocabulary import UNKNOWN
from governance.policies.written import Problem

_KNOWN = ("personal", "sensitive", "special")
_ACTIONS = ("promote", "deploy", "increase", "rollback", "run")
_LATEST = datetime(2100, 1, 1, tzinfo=UTC)


def absences(pack: CompiledPack) -> tuple[Problem, ...]:
    """Every way in which the pack allows by absence, with its rule, line and how to mend it."""
    asked = [one for one in pack.rules if one.rule.concern == "residency" and one.rule.severity == "block"]
    if not asked:
        return ()
    ids = {one.rule.id for one in asked}
    passed: set[str] = set()
    milder: set[str] = set()
    stopped: set[str] = set()
    for facts in _probes(pack):
        answers = {(one.rule, one.subject): one.outcome for one in evaluate([pack], facts).findings}
        for rule, kind in product(ids, FLOW_KINDS):
            unknown = answers.get((rule, f"{kind}:{UNKNOWN}"), "")
            known = [answers.get((rule, f"{kind}:{word}"), "") for word in _KNOWN]
            if "pass" in (unknown, *known):
                passed.add(rule)
            if unknown in ("fail", "error"):
                stopped.add(rule)
            elif any(one in ("fail", "error") for one in known):
                milder.add(rule)
    return tuple(problem for one in asked for problem in _problems(one, passed, milder, stopped))


def _problems(one: CompiledRule, passed: set[str], milder: set[str], stopped: set[str]) -> Iterator[Problem]:
    rule = one.rule
    place = rule.when
    line, column = (place.line, place.column) if place else (rule.line, rule.column)
    if rule.id in passed:
        text = rule.require[0][1]
        message = (
            "Allow by absence: data whose place nobody knows pass. Require what is allowed, for example"
            " flow.region in params.allowed_regions, instead of excluding what is not."
        )
        yield Problem(text.line, text.column, rule.id, message)
    elif rule.id in milder:
        message = (
            "Allow by absence: data of a known class are stopped, and the same data unclassified are not. Write"
            " flow.personal or flow.sensitive, which are true for an unknown class."
        )
        yield Problem(line, column, rule.id, message)
    elif rule.id not in stopped:
        message = (
            "Allow by absence: nothing is stopped when nobody knows class and place of the data. Begin with"
            " flow.personal, name the people of the jurisdiction, and put where the pack applies into applies."
        )
        yield Problem(line, column, rule.id, message)


def _probes(pack: CompiledPack) -> Iterator[Facts]:
    """Unknown data in each situation that is never unknown, of each of the pack's people."""
    applies = pack.pack.applies
    tiers = applies.tiers or TIERS
    slug = applies.environments[0] if applies.environments else "somewhere"
    perimeter = applies.perimeters[0] if applies.perimeters else UNKNOWN
    now = datetime.combine(min(pack.effective_from, _LATEST.date()), time(), UTC)
    for tier, action, people in product(tiers, _ACTIONS, pack.pack.jurisdictions or (UNKNOWN,)):
        yield freeze(
            now=now,
            model=ModelFact("unknown"),
            version=VersionFact("version:unknown/1", "1"),
            environment=EnvironmentFact(slug, tier, perimeter),
            promotion=PromotionFact(action, "user:unknown"),
            flows=[
                FlowFact(kind, f"{kind}:{word}", classification=word, data_subjects=[people], perimeter=people)
                for kind, word in product(sorted(FLOW_KINDS), (*_KNOWN, UNKNOWN))
            ],
        )
