"""Findings, places and looks in sentences, in the reader's language; what was recorded are words and values only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from registry.models import Finding, FindingKind, ReconcilerRun
from registry.reconciling.comparison import NOT_SEEN, TOLD_FROM_ABOVE, State

#: A look that is older says nothing about now; the clock starts one every two minutes.
OLD = timedelta(minutes=15)


def unseen(finding: Finding) -> bool:
    """Whether it says that nothing is known, rather than that something differs."""
    return finding.kind in {kind.value for kind in NOT_SEEN}


def state_of(finding: Finding) -> str:
    """Its state as ``config.states`` names it."""
    return "accepted_difference" if finding.accepted else str(finding.state)


def sentence(finding: Finding) -> str:
    """What differs, in one sentence."""
    on_record, seen = finding.recorded, finding.observed
    told = {
        "subject": finding.concerns.partition(":")[2],
        "environment": finding.environment,
        "version": _labels(finding.version),
        "recorded": _labels(on_record.get("version", "")) or _("no version"),
        "serving": _labels(on_record.get("serving", "")) or _("no version"),
        "observed": _labels(seen.get("version", "")) or _("no version"),
        "there": seen.get("source", ""),
        "problem": seen.get("problem", ""),
        "why": why(str(seen.get("why", "")), str(seen.get("detail", ""))),
        "rule": ", ".join(each for each in (str(seen.get("rule", "")), str(seen.get("cites", ""))) if each),
        "message": str(seen.get("message", "")).rstrip("."),
        "safeguard": seen.get("safeguard", ""),
        "waiver": seen.get("waiver", ""),
        "emergency": seen.get("emergency", ""),
        "ended": seen.get("ended", ""),
    }
    return _template(finding) % told


def _template(finding: Finding) -> str:
    kind = finding.kind
    if kind == FindingKind.RUNNING_UNAPPROVED and finding.observed.get("basis") == "reported":
        return _("“%(subject)s” says that it serves %(observed)s; on record in %(environment)s is %(serving)s.")
    if kind == FindingKind.RUNNING_UNAPPROVED:
        return _(
            "“%(subject)s” is registered to serve %(observed)s; on record in %(environment)s is %(serving)s, "
            "and the endpoint does not say what it serves."
        )
    if kind == FindingKind.ALIAS_MOVED and finding.observed.get("why") == "not_told":
        return _(
            "The alias %(subject)s was moved here to %(recorded)s and stands at %(observed)s in MLflow, which could "
            "not be told: see Sources."
        )
    if kind == FindingKind.NEVER_DEPLOYED:
        return _never_deployed(str(finding.recorded.get("what", "")))
    return {
        FindingKind.ANSWERS_OTHERWISE: _(
            "“%(subject)s” is registered to serve %(recorded)s and says that it serves %(observed)s."
        ),
        FindingKind.ALIAS_MOVED: _(
            "The alias %(subject)s was moved outside the ledger: the ledger has it at %(recorded)s, MLflow at "
            "%(observed)s."
        ),
        FindingKind.DELETED_THERE: _("%(subject)s is on record here and was deleted in MLflow."),
        FindingKind.SOURCE_CHANGED: _("%(subject)s is another artifact in MLflow by now: %(there)s."),
        FindingKind.MISSED_WEBHOOK: _(
            "The poll found a change in MLflow for which no webhook came, although webhooks are set up."
        ),
        FindingKind.ENDPOINT_UNREACHABLE: _(
            "“%(subject)s” in %(environment)s could not be asked what it serves: %(why)s."
        ),
        FindingKind.SOURCE_UNREADABLE: _("MLflow could not be read: %(problem)s"),
        FindingKind.NO_LONGER_LAWFUL: _unlawful(finding.observed),
        FindingKind.MUST_BE_REPLACED: _to_replace(finding.observed),
    }[FindingKind(kind)]


def _unlawful(observed: Mapping[str, Any]) -> str:
    if observed.get("outcome") == "error":
        return _("%(version)s serves in %(environment)s, and whether it may cannot be decided: %(message)s (%(rule)s).")
    if observed.get("safeguard"):
        return _(
            "%(version)s serves in %(environment)s and is no longer lawful since %(safeguard)s ended: "
            "%(message)s (%(rule)s)."
        )
    if observed.get("waiver"):
        return _(
            "%(version)s serves in %(environment)s and is no longer allowed since %(waiver)s ended on %(ended)s: "
            "%(message)s (%(rule)s)."
        )
    return _("%(version)s serves in %(environment)s and is no longer lawful: %(message)s (%(rule)s).")


def _to_replace(observed: Mapping[str, Any]) -> str:
    if observed.get("standing") == "overdue":
        return _(
            "%(version)s serves in %(environment)s by %(emergency)s, which nobody reviewed in time: review it, or let "
            "another version serve."
        )
    return _(
        "%(version)s serves in %(environment)s by %(emergency)s, which was not ratified: let another version serve."
    )


def _never_deployed(what: str) -> str:
    if what == "promotion":
        return _("The promotion of %(version)s to %(environment)s was approved, and no deployment is recorded.")
    if what == "permit_used":
        return _("A permit for %(version)s in %(environment)s was used, and no deployment belongs to it.")
    return _("A permit for %(version)s in %(environment)s ran out unused, and no deployment is recorded since.")


def why(word: str, detail: str = "") -> str:
    """Why an endpoint could not tell what it serves: ``word`` is one of ``registry.reconciling.identity``."""
    told = {
        "scoring_server": _("MLflow's scoring server does not say which model it holds; give it an identity address"),
        "says_nothing": _("it names neither a version nor a digest"),
        "no_endpoint": _("no endpoint is registered there, so nobody can be asked"),
        "not_asked": _("it was registered while the reconciler was looking"),
        "not_allowed": detail,
        "no_connection": _("no connection"),
        "timeout": _("no answer in time"),
        "too_large": _("its answer is too large"),
        "status": _("it answered HTTP %(status)s") % {"status": detail},
        "redirect": _("it redirects elsewhere (HTTP %(status)s), which is not followed") % {"status": detail},
        "not_json": _("its answer is not JSON"),
        "bad_digest": _("the digest that it tells is malformed"),
        "not_understood": _("its answer cannot be understood"),
    }
    return told.get(word, word)


def conclusion(run: ReconcilerRun | None, standing: Sequence[Finding]) -> str:
    """The first sentence of the page: what differs, then everything that is not known. Never «agrees» without having
    looked at everything."""
    if run is None:
        return _("Nobody has compared production with the record yet.")
    waiting = [each for each in standing if not each.accepted]
    said = [
        *_no_longer(waiting),
        *_by_emergency(waiting),
        *_different(waiting),
        *_unknown(run, standing),
        *_set_aside(run, standing),
    ]
    return " ".join(said) or _agreement(run)


def _agreement(run: ReconcilerRun) -> str:
    """Only after everything was looked at, and only about what there is."""
    if not run.complete:
        return _("Not everything could be looked at.")
    if run.places:
        return _("What runs agrees with the record.")
    if run.source:
        return _("MLflow agrees with the record; nothing is deployed.")
    return _("There is nothing to compare yet: nothing is deployed and no tracking server is set up.")


def _no_longer(waiting: Sequence[Finding]) -> list[str]:
    count = len({each.concerns for each in waiting if each.kind == FindingKind.NO_LONGER_LAWFUL})
    if not count:
        return []
    text = ngettext(
        "%(n)d deployment serves and is no longer lawful.", "%(n)d deployments serve and are no longer lawful.", count
    )
    return [text % {"n": count}]


def _by_emergency(waiting: Sequence[Finding]) -> list[str]:
    count = sum(1 for each in waiting if each.kind == FindingKind.MUST_BE_REPLACED)
    if not count:
        return []
    text = ngettext(
        "%(n)d version serves by an emergency that nobody ratified.",
        "%(n)d versions serve by emergencies that nobody ratified.",
        count,
    )
    return [text % {"n": count}]


def _different(waiting: Sequence[Finding]) -> list[str]:
    count = sum(1 for each in waiting if not unseen(each) and each.kind not in TOLD_FROM_ABOVE)
    if not count:
        return []
    text = ngettext(
        "Production differs from the record in %(n)d place.",
        "Production differs from the record in %(n)d places.",
        count,
    )
    return [text % {"n": count}]


def _unknown(run: ReconcilerRun, standing: Sequence[Finding]) -> list[str]:
    said = []
    states = [place["state"] for place in run.places]
    if count := states.count(State.UNREACHABLE):
        text = ngettext("%(n)d endpoint could not be asked.", "%(n)d endpoints could not be asked.", count)
        said.append(text % {"n": count})
    if count := states.count(State.CANNOT_TELL):
        text = ngettext("%(n)d place does not say what it serves.", "%(n)d places do not say what they serve.", count)
        said.append(text % {"n": count})
    if any(each.kind == FindingKind.SOURCE_UNREADABLE for each in standing):
        said.append(_("MLflow could not be read."))
    if count := len(run.unread_servers):
        text = ngettext("%(n)d tracking server was not read.", "%(n)d tracking servers were not read.", count)
        said.append(text % {"n": count})
    return said


def _set_aside(run: ReconcilerRun, standing: Sequence[Finding]) -> list[str]:
    said = []
    if count := sum(1 for each in standing if each.accepted):
        text = ngettext("%(n)d accepted difference still stands.", "%(n)d accepted differences still stand.", count)
        said.append(text % {"n": count})
    if timezone.now() - run.began > OLD:
        said.append(_("The last look was long ago: nothing is known since."))
    return said


def value(name: str, told: object) -> str:
    """What is on record or was seen under ``name``, in words where it is a word of ours."""
    text = str(told or "")
    if name in ("version", "serving", "claimed"):
        return _labels(text)
    if name == "why":
        return why(text) if text else ""
    words = {
        ("basis", "reported"): _("the endpoint says so"),
        ("basis", "registered"): _("it was registered so"),
        ("what", "promotion"): _("an approved promotion"),
        ("what", "permit_used"): _("a permit that was used"),
        ("what", "permit"): _("a permit that ran out"),
        ("standing", "not_ratified"): _("not ratified"),
        ("standing", "overdue"): _("not reviewed in time"),
    }
    return words.get((name, text), text)


def _labels(subjects: object) -> str:
    """``version:a/1, version:a/2`` as ``a/1, a/2``; a digest stays as it is."""
    return ", ".join(each.removeprefix("version:") for each in str(subjects or "").split(", ") if each)
