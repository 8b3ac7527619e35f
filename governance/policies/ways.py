"""How to pass: the smallest sets of actions after which the same rules would allow, found by deciding again.

The search is exact over the actions that were tried (``candidates``), up to ``DEPTH`` of them: every set that could
flip the decision has, for any finding that blocks, an action that touches it, so it is enough to branch over those.
Each answer is then applied to the whole facts, cut to what is needed, and no smaller part of it flips. Sets beyond the
depth are built step by step and say so. Nothing here is asked by a gate: it is computed when somebody wants to know.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from governance.policies.actions import Action, State, as_json
from governance.policies.candidates import Known, candidates
from governance.policies.compile import CompiledPack
from governance.policies.evaluate import conclude
from governance.policies.explain import NO_RULES, UNCOVERED
from governance.policies.facts import Facts, thaw
from governance.policies.quorum import signoff_state
from governance.policies.results import Decision, Finding
from governance.policies.search import DEPTH, Search
from governance.policies.settling import Settling, cost
from governance.policies.stored import Inputs, outcome
from governance.policies.trials import Reduced, Spent, Trials, reduced
from governance.policies.vocabulary import UNKNOWN

#: Sets that are offered, and how many found ones are looked at to choose them.
_OFFERED = 3
_LOOKED_AT = 8
#: Evaluations that the search may take, and flows against safeguards that they may judge in all; the same for proving
#: what was found on few flows, and on all of them. So the time has a bound whatever the facts are.
_TRIES = 1_500
_PROOFS = 500
_WHOLE = 200
_JUDGED = 40_000
_FEWEST = 24
#: Safeguards that may be mended: fewer when so many facts would leave less than enough evaluations.
_NEAR = (8, 3, 0)
_ENOUGH = 300


@dataclass(frozen=True, slots=True)
class Way:
    """Actions in the order in which they are told; afterwards no rule blocks, and ``signoff`` says who still signs.

    ``smallest``: no smaller set of the actions tried flips it, waivers aside. ``temporary``: it rests on a waiver.
    """

    actions: tuple[Action, ...]
    signoff: Mapping[str, Any]
    smallest: bool

    @property
    def temporary(self) -> bool:
        return any(each.temporary for each in self.actions)

    def applied(self, state: State) -> State:
        """The packs and facts after all of it."""
        for each in self.actions:
            state = each.applied(state)
        return state

    def as_json(self) -> dict[str, Any]:
        return {
            "actions": [as_json(each) for each in self.actions],
            "signoff": dict(self.signoff),
            "smallest": self.smallest,
            "temporary": self.temporary,
        }


@dataclass(frozen=True, slots=True)
class Stuck:
    """What none of the actions cures. ``why`` is error, no_pack, lineage, served, rejected, signoffs, too_many or
    no_action.
    """

    rule: str
    subject: str
    message: str
    why: str

    def as_json(self) -> dict[str, str]:
        return {"rule": self.rule, "subject": self.subject, "message": self.message, "why": self.why}


@dataclass(frozen=True, slots=True)
class Ways:
    """``word`` is what rules and signatures say now. ``complete``: no smaller set than the first was left untried; with
    no set at all, none of up to ``depth`` actions flips it.
    """

    word: str
    ways: tuple[Way, ...]
    stuck: tuple[Stuck, ...]
    complete: bool
    tried: int
    evaluations: int
    depth: int = DEPTH

    def as_json(self) -> dict[str, Any]:
        return {
            "decision": self.word,
            "ways": [each.as_json() for each in self.ways],
            "stuck": [each.as_json() for each in self.stuck],
            "complete": self.complete,
            "tried": self.tried,
            "evaluations": self.evaluations,
            "depth": self.depth,
        }


def ways_to_pass(
    packs: Sequence[CompiledPack], facts: Facts, inputs: Inputs, known: Known | None = None, *, tries: int = _TRIES
) -> Ways:
    """The smallest sets of actions that flip a decision, best first; none for what is allowed already.

    Pure and the same in every run. ``tries`` bounds the evaluations of the search.
    """
    state = State(tuple(packs), facts.document)
    whole = Trials(_allowed(state, _WHOLE))
    decision = whole.decide(state)
    signed = conclude(decision, signoff_state(packs, facts, inputs.events, inputs.people, inputs.subject_digest))
    word = signed.word if inputs.needed else decision.word
    if facts.emergencies:
        word = outcome(packs, facts, inputs)
    if not decision.blocking:
        return _of_signatures(decision, state, inputs, word)
    cases = (reduced(state, decision, near) for near in _NEAR)
    case = next((case for case in cases if _allowed(case.state, tries) >= _ENOUGH), reduced(state, decision, _NEAR[-1]))
    search, proofs = Trials(_allowed(case.state, tries)), Trials(_allowed(case.state, _PROOFS))
    blocking = search.blocking(case.state)
    found = _Found(
        whole=Settling(state, decision.blocking, whole),
        few=Settling(case.state, blocking, proofs),
        case=case,
        inputs=inputs,
    )
    found.run(blocking, known or Known(), search)
    return Ways(
        word=word,
        ways=tuple(found.ways),
        stuck=tuple(found.stuck),
        complete=found.complete,
        tried=found.tried,
        evaluations=whole.made + search.made + proofs.made,
    )


def _allowed(state: State, most: int) -> int:
    """How many evaluations of facts of this size."""
    judged = max(len(state.document["flows"]), 1) * (1 + len(state.document["safeguards"]))
    return max(_FEWEST, min(most, _JUDGED // judged))


def _of_signatures(decision: Decision, state: State, inputs: Inputs, word: str) -> Ways:
    """Nothing of the rules blocks: either it is allowed, or signatures are missing, or they cannot help."""
    if word == "allow":
        return Ways(word, (), (), complete=True, tried=0, evaluations=1)
    signoff = _signatures(state, inputs, changed=False)
    if word == "pending":
        return Ways(word, (Way((), signoff, smallest=True),), (), complete=True, tried=0, evaluations=1)
    why = "rejected" if signoff["state"] == "rejected" else "signoffs"
    message = "; ".join(signoff.get("problems", ())) or decision.summary
    subject = str(state.document["version"]["subject"])
    return Ways(word, (), (Stuck("", subject, message, why),), complete=True, tried=0, evaluations=1)


def _signatures(state: State, inputs: Inputs, *, changed: bool) -> Mapping[str, Any]:
    """Who still has to sign. What is changed is another subject, for which nobody has signed yet."""
    if not inputs.needed:
        return {"state": "not_required", "missing": []}
    events = () if changed else inputs.events
    found = signoff_state(state.packs, thaw(state.document), events, inputs.people, inputs.subject_digest)
    told = found.as_json()
    return {name: told[name] for name in ("state", "missing", "problems")}


class _Found:
    """The search on few flows, and what of it stands up on all of them."""

    def __init__(self, *, whole: Settling, few: Settling, case: Reduced, inputs: Inputs) -> None:
        self._whole = whole
        self._few = few
        self._case = case
        self._inputs = inputs
        self.ways: list[Way] = []
        self.stuck: list[Stuck] = []
        self.complete = False
        self.tried = 0

    def run(self, blocking: tuple[Finding, ...], known: Known, trials: Trials) -> None:
        """Small sets that last, then those that rest on a waiver, then step by step when no small set flips it."""
        try:
            actions = candidates(self._case, blocking, known, trials)
        except Spent:
            self._name(self._whole.blocking, "too_many")
            return
        self.tried = len(actions)
        search = Search(self._case.state, blocking, actions, trials)
        lasting = search.run([each for each in actions if not each.temporary])
        self.complete = search.exhausted
        self._offer(lasting)
        if any(each.temporary for each in actions):
            found = search.run(actions)
            self.complete = self.complete and (search.exhausted or bool(self.ways))
            self._offer(each for each in found if any(one.temporary for one in each))
        if not self.ways:
            self._step_by_step(search, actions)

    def _step_by_step(self, search: Search, actions: Sequence[Action]) -> None:
        try:
            steps, left = search.step_by_step(actions, Trials(_allowed(self._case.state, _PROOFS)))
        except Spent:
            self._name(self._whole.blocking, "too_many")
            return
        if not left:
            self.complete = len(steps) == search.at_least(actions)
            self._offer([steps])
        if not self.ways:
            self._name(left or self._whole.blocking, "" if left else "too_many")

    def _offer(self, found: Iterable[tuple[Action, ...]]) -> None:
        """The best of what was found on few flows, each of another shape, as far as it stands up on all of them."""
        chosen = sorted(found, key=cost)[:_LOOKED_AT]
        least = [one for each in chosen if (one := self._few.least(each)) is not None]
        self.complete = self.complete and len(least) == len(chosen)
        for each in sorted(least, key=cost):
            if len(self.ways) == _OFFERED or _shape(each) in {_shape(way.actions) for way in self.ways}:
                continue
            actions = self._whole.on_all(each, self._case.alike)
            if actions is None:
                self.complete = False
            else:
                after = self._whole.after(actions)
                fewest = all(len(actions) <= len(way.actions) for way in self.ways)
                signoff = _signatures(after, self._inputs, changed=True)
                self.ways.append(Way(actions, signoff, smallest=self.complete and fewest))

    def _name(self, left: Iterable[Finding], why: str) -> None:
        """Say of each finding, and of those that look alike, that it cannot be cured here, and why."""
        stands_for = {key[1]: few[1] for few, members in self._case.alike.items() for key in members}
        named = {(one.pack, one.rule, one.subject) for one in left}
        self.stuck = [
            Stuck(one.rule, one.subject, one.message, why or _why(one, self._whole.state.document))
            for one in self._whole.blocking
            if (one.pack, one.rule, stands_for.get(one.subject, one.subject)) in named
        ]


def _why(finding: Finding, document: Mapping[str, Any]) -> str:
    """The reason in one word; the words for people are made elsewhere."""
    if finding.rule == NO_RULES:
        return "no_pack"
    if not any(flow["kind"] == "dataset" for flow in document["flows"]):
        return "lineage"
    if finding.rule == UNCOVERED:
        return "served" if finding.failed == (f"covered:{UNKNOWN}",) else "no_pack"
    return "error" if finding.outcome == "error" else "no_action"


def _shape(actions: Sequence[Action]) -> tuple[str, ...]:
    """Sets of one shape are so alike that one of them is enough."""
    return tuple(sorted(each.kind for each in actions))
