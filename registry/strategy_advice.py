"""Which deployment strategy fits what is needed. Pure: requirements in, strategies with reasons out; decides nothing.

The table follows what the field agrees on: Humble and Farley, Continuous Delivery (2010), chapter 10 (blue-green,
canary); Sato, Canary Release (2014) and Fowler, Blue Green Deployment (2010) on martinfowler.com; Kohavi, Tang and Xu,
Trustworthy Online Controlled Experiments (2020), chapters 17 and 19 (what a test needs); Lattimore and Szepesvári,
Bandit Algorithms (2020), chapter 1 (what a bandit assumes: rewards that come soon); the Federal Reserve's SR 11-7
(2011, rescinded 2026) for challengers that answer nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal

#: What may be asked for, in the order of the form.
NEEDS = (
    "first",
    "no_downtime",
    "real_traffic",
    "nobody_affected",
    "one_version",
    "fast_rollback",
    "no_spare",
    "measure_effect",
    "outcomes_late",
    "earn_while_learning",
    "decides_on_people",
)
#: How predictions are made; only answers to requests leave a choice of strategy.
KINDS = ("online", "batch", "streaming", "edge", "serverless", "federated")
#: What each strategy meets, the simplest first. What is asked for and not in its set speaks against it.
MEETS: dict[str, frozenset[str]] = {
    "all_at_once": frozenset({"first", "one_version", "no_spare", "decides_on_people", "outcomes_late"}),
    "rolling": frozenset({"no_downtime", "no_spare", "decides_on_people", "outcomes_late"}),
    "blue_green": frozenset(
        {"no_downtime", "nobody_affected", "one_version", "fast_rollback", "decides_on_people", "outcomes_late"}
    ),
    "canary": frozenset(
        {"no_downtime", "real_traffic", "fast_rollback", "no_spare", "decides_on_people", "outcomes_late"}
    ),
    "shadow": frozenset(
        {
            *("no_downtime", "real_traffic", "nobody_affected", "one_version", "fast_rollback"),
            *("decides_on_people", "outcomes_late"),
        }
    ),
    "champion_challenger": frozenset(
        {
            *("no_downtime", "real_traffic", "nobody_affected", "one_version", "fast_rollback"),
            *("decides_on_people", "outcomes_late", "measure_effect"),
        }
    ),
    "ab": frozenset({"no_downtime", "real_traffic", "fast_rollback", "no_spare", "measure_effect", "outcomes_late"}),
    "bandit": frozenset({"no_downtime", "real_traffic", "fast_rollback", "no_spare", "earn_while_learning"}),
    "batch": frozenset({"first", "no_downtime", "real_traffic", "nobody_affected", "one_version", "no_spare"}),
    "streaming": frozenset({"first", "no_downtime", "real_traffic", "nobody_affected", "fast_rollback"}),
    "edge": frozenset({"first", "no_downtime", "real_traffic", "no_spare"}),
    "serverless": frozenset({"first", "no_downtime", "real_traffic", "fast_rollback", "no_spare"}),
    "federated": frozenset({"first", "no_downtime", "no_spare"}),
}
ONLINE = ("all_at_once", "rolling", "blue_green", "canary", "shadow", "champion_challenger", "ab", "bandit")
#: These only try a version: another strategy brings it to everybody afterwards.
TRIALS = ("shadow", "champion_challenger")
#: What a trial is for. When it is over, nothing of it is asked of the strategy that follows.
_OF_A_TRIAL = frozenset({"real_traffic", "nobody_affected", "measure_effect", "outcomes_late", "earn_while_learning"})
_FOLLOWING = ("all_at_once", "rolling", "blue_green", "canary")
#: Where people are decided on, what is tried beside the version in force goes before what is merely simple.
_CAREFUL = ("champion_challenger", "shadow", "canary", "blue_green", "rolling", "all_at_once", "ab", "bandit")

Kind = Literal["online", "batch", "streaming", "edge", "serverless", "federated"]


@dataclass(frozen=True, slots=True)
class Option:
    """One strategy: which of the needs it meets and which it does not. ``then`` brings it to everybody afterwards."""

    strategy: str
    meets: tuple[str, ...]
    lacks: tuple[str, ...]
    then: str = ""


@dataclass(frozen=True, slots=True)
class Advice:
    """``fitting`` lack nothing, the one to take first; ``others`` are the rest, those that lack least first.

    With nothing fitting, the first of ``others`` says what would have to be given up.
    """

    kind: str
    needs: tuple[str, ...]
    fitting: tuple[Option, ...]
    others: tuple[Option, ...]


def advise(needs: Collection[str], kind: str = "online") -> Advice:
    """The strategies for ``needs`` (of ``NEEDS``) when predictions are made in that ``kind`` (of ``KINDS``) of way.

    Raises ``ValueError`` for a need or a kind that is not known.
    """
    unknown = sorted(set(needs) - set(NEEDS))
    if unknown or kind not in KINDS:
        raise ValueError(f"not known: {', '.join(unknown or [kind])}")
    asked = tuple(need for need in NEEDS if need in needs)
    if kind != "online":
        return Advice(kind, asked, (_option(kind, asked),), ())
    order = _CAREFUL if "decides_on_people" in asked and "first" not in asked else ONLINE
    options = [_option(strategy, asked) for strategy in order]
    fitting = [each for each in options if not each.lacks]
    others = sorted((each for each in options if each.lacks), key=lambda each: len(each.lacks))
    return Advice(kind, asked, tuple(fitting), tuple(others))


def _option(strategy: str, asked: Iterable[str]) -> Option:
    met = MEETS[strategy]
    return Option(
        strategy,
        meets=tuple(need for need in asked if need in met),
        lacks=tuple(need for need in asked if need not in met),
        then=_following(asked) if strategy in TRIALS else "",
    )


def _following(asked: Iterable[str]) -> str:
    """What brings a version that was tried to everybody: what lacks least of the rest, the simplest of those."""
    rest = [need for need in asked if need not in _OF_A_TRIAL]
    return min(_FOLLOWING, key=lambda strategy: sum(need not in MEETS[strategy] for need in rest))
