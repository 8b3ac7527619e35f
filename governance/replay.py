"""Decide again what was decided: from the stored facts, packs and signatures, against what the log says came out.

The entry in the log is the anchor. A stored decision whose bytes were changed, a pack whose text is another, a fact
that does not give its digest, an engine that comes to another result: each is a difference, and a difference is an
alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext as _

from audit import alerts, log
from audit import queries as entries
from audit.actors import Actor
from audit.models.events import Event
from audit.queries import EntryRow
from audit.refusals import Refused
from audit.searching import Filters
from governance import packs as registered
from governance import policies
from governance.decisions import result_digest_of
from governance.models.decision import Decision
from governance.models.policy import PolicyPack
from governance.policies.facts import digest_of

_PAGE = 100


@dataclass(frozen=True, slots=True)
class Replay:
    """``differences`` are sentences; none means that the same came out. ``word`` is what comes out now, or empty."""

    decision: Decision
    differences: tuple[str, ...]
    recorded_digest: str
    digest: str
    word: str
    findings: Sequence[Mapping[str, Any]] = ()
    engine: Mapping[str, str] | None = None

    @property
    def same(self) -> bool:
        """True when everything that was stored is what was recorded, and gives the recorded result again."""
        return not self.differences


@dataclass(frozen=True, slots=True)
class _Again:
    """A decision that was made again, as its digest is computed from it."""

    outcome: str
    summary: str
    findings: Sequence[Mapping[str, Any]]
    signoff: Mapping[str, Any]
    packs: Sequence[Mapping[str, Any]]
    facts_digest: str
    inputs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class WhatIf:
    """The decision on the facts of then by the packs of now. Nothing is recorded."""

    decision: Decision
    word: str
    summary: str
    findings: Sequence[Mapping[str, Any]]
    packs: Sequence[Mapping[str, Any]]


def replay(decision: Decision, *, by: Actor) -> Replay:
    """Make a recorded decision again and compare. A difference is recorded and raises an alert, at every replay once.

    Raises ``Refused`` for a decision that holds nothing to replay: one from before signatures were kept with it, and
    one that ended because the facts could not be collected.
    """
    entry = entry_of(decision)
    done = _compared(decision, entry)
    if done.same:
        alerts.put_right(_alert(decision))
        return done
    with transaction.atomic():
        sentence = _("Decision %(id)s does not replay: %(what)s") % {
            "id": decision.public_id,
            "what": " ".join(done.differences),
        }
        log.append(
            Event.DECISION_CONTRADICTED,
            decision,
            facts={
                "decision": decision.public_id,
                "differences": list(done.differences),
                "recorded_digest": done.recorded_digest,
                "digest": done.digest,
                "outcome": done.word,
            },
            by=by,
        )
        alerts.put_wrong(_alert(decision), sentence)
    return done


def what_if(decision: Decision) -> WhatIf:
    """The same facts and signatures under the packs that are in force now.

    The signatures count as for what their people saw, though other packs make another subject. Raises ``Refused`` as
    ``replay`` does, and when a pack in force no longer compiles.
    """
    facts, inputs = kept(decision)
    try:
        packs = registered.active_packs()
    except policies.PackError as error:
        raise Refused(_("A policy in force cannot be read: %(why)s") % {"why": error}, code="pack.broken") from error
    decided = policies.decide(packs, facts, inputs)
    return WhatIf(
        decision=decision,
        word=decided.decision.word,
        summary=decided.decision.summary,
        findings=[each.as_json() for each in decided.decision.findings],
        packs=[pack.reference.as_json() for pack in packs],
    )


def entry_of(decision: Decision) -> EntryRow | None:
    """The entry that recorded the decision, or None."""
    filters, before = Filters(subject=decision.subject, event=Event.DECISION_RECORDED.value), None
    while True:
        page = entries.search(filters, before=before, limit=_PAGE)
        for row in page.rows:
            if row.facts.get("decision") == decision.public_id:
                return row
        if page.older is None:
            return None
        before = page.older


def packs_of(decision: Decision) -> tuple[policies.CompiledPack, ...]:
    """The packs that decided, from their texts as they were. Raises ``Refused`` when one is not there as it was."""
    texts = {
        row.digest: row.text for row in PolicyPack.objects.filter(digest__in=[p["digest"] for p in decision.packs])
    }
    found = []
    for pack in decision.packs:
        name = f"{pack['pack']} v{pack['version']}"
        text = texts.get(pack["digest"])
        if text is None:
            raise Refused(_("The text of %(pack)s that decided is not stored.") % {"pack": name}, code="pack.gone")
        if "sha256:" + hashlib.sha256(text.encode()).hexdigest() != pack["digest"]:
            raise Refused(
                _("The text of %(pack)s is not the one that decided.") % {"pack": name}, code="pack.other_text"
            )
        try:
            found.append(policies.compile_pack(text))
        except policies.PackError as error:
            raise Refused(
                _("%(pack)s cannot be read any more: %(why)s") % {"pack": name, "why": error}, code="pack.broken"
            ) from error
    return tuple(found)


def kept(decision: Decision) -> tuple[policies.Facts, policies.Inputs]:
    """The stored facts and signatures. Raises ``Refused`` when there are none, or when they cannot be read."""
    if not decision.result_digest:
        raise Refused(
            _("Decision %(id)s is from before signatures were kept with a decision; it cannot be made again.")
            % {"id": decision.public_id},
            code="replay.too_old",
        )
    if not decision.facts:
        raise Refused(
            _("Decision %(id)s ended because its facts could not be collected; there is nothing to decide again.")
            % {"id": decision.public_id},
            code="replay.no_facts",
        )
    try:
        return policies.thaw(decision.facts), policies.read_inputs(decision.inputs)
    except policies.MissingFact as error:
        raise Refused(error.sentence, code="replay.unreadable") from error


def _compared(decision: Decision, entry: EntryRow | None) -> Replay:
    recorded = str(entry.facts.get("result_digest", "")) if entry else ""
    differences = list(_against_entry(decision, entry))
    try:
        facts, inputs = kept(decision)
        packs = packs_of(decision)
    except Refused as refusal:
        if not differences and refusal.code in ("replay.too_old", "replay.no_facts"):
            raise
        return Replay(decision, (*differences, refusal.sentence), recorded, "", "")
    differences += _inside(decision, inputs)
    decided = policies.decide(packs, facts, inputs)
    findings = [each.as_json() for each in decided.decision.findings]
    again = _Again(
        outcome=decided.decision.word,
        summary=decided.decision.summary,
        findings=findings,
        signoff=decided.signoff,
        packs=[pack.as_json() for pack in decided.decision.policy],
        facts_digest=facts.digest,
        inputs=inputs.as_json(),
    )
    digest = result_digest_of(again)
    if digest != recorded:
        differences.append(_result(decision, decided.decision.word, findings))
    return Replay(
        decision, tuple(differences), recorded, digest, decided.decision.word, findings, decided.decision.engine
    )


def _against_entry(decision: Decision, entry: EntryRow | None) -> Iterator[str]:
    """What the row says otherwise than its entry in the log."""
    if entry is None:
        yield _("The log has no entry of it.")
        return
    stored = result_digest_of(decision)
    said = {
        _("the outcome"): ("outcome", decision.outcome),
        _("the action"): ("action", decision.action),
        _("the digest of the facts"): ("facts_digest", decision.facts_digest),
        _("the digest of the subject"): ("subject_digest", decision.subject_digest),
        _("the digest of the result"): ("result_digest", decision.result_digest),
    }
    for name, (key, value) in said.items():
        if entry.facts.get(key, "") != value:
            yield _("Stored and recorded differ in %(what)s.") % {"what": name}
    if digest_of(decision.facts) != decision.facts_digest:
        yield _("The stored facts were changed: they do not give their digest.")
    if decision.result_digest and stored != decision.result_digest:
        yield _("What is stored was changed: it does not give its digest.")


def _inside(decision: Decision, inputs: policies.Inputs) -> Iterator[str]:
    if digest_of(decision.subject_parts) != decision.subject_digest or inputs.subject_digest != decision.subject_digest:
        yield _("The stored subject was changed: it does not give its digest.")


def _result(decision: Decision, word: str, findings: Sequence[Mapping[str, Any]]) -> str:
    if word != decision.outcome:
        return _("The outcome was “%(then)s”, and now comes out as “%(now)s”.") % {
            "then": decision.outcome,
            "now": word,
        }
    before = {_key(each) for each in decision.findings}
    changed = sorted({rule for rule, *_rest in before ^ {_key(each) for each in findings}})
    if changed:
        return _("The findings of these rules come out otherwise: %(rules)s.") % {"rules": ", ".join(changed[:10])}
    return _("The result does not give the recorded digest.")


def _key(finding: Mapping[str, Any]) -> tuple[str, str, str, str]:
    return str(finding["rule"]), str(finding["subject"]), str(finding["outcome"]), str(finding["message"])


def _alert(decision: Decision) -> str:
    return f"{alerts.REPLAYS}{decision.public_id}"


def replay_all(*, by: Actor) -> tuple[int, list[Replay]]:
    """Every decision that can be replayed: how many gave the same, and those that did not."""
    same, wrong = 0, []
    for decision in Decision.objects.select_related("version__model", "environment", "promotion").order_by("pk"):
        try:
            done = replay(decision, by=by)
        except Refused:
            continue
        if done.same:
            same += 1
        else:
            wrong.append(done)
    return same, wrong
