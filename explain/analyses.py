"""Every change of an analysis: request, start, finish, fail."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from audit import log, subject_keys
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import Conflict, NotKnown
from explain import given, inputs, queueing, receipts, signals, staleness
from explain.digests import digest
from explain.given import Given, refused
from explain.jobs import WORKER
from explain.models import ANALYSIS_LIFECYCLE, Analysis, AnalysisState, ExplanationJob, Kind, Standing, State
from explain.staleness import Freshness

#: Version of the receipt's shape.
SHAPE = 1
FAVOURABLE = ("higher", "lower")
_READ = tuple(f"{side}__{name}" for side in ("first", "second") for name in ("version__model", "endpoint__environment"))


@transaction.atomic
def request(
    kind: str,
    first: ExplanationJob,
    second: ExplanationJob | None = None,
    *,
    seed: int = 0,
    threshold: float | None = None,
    favourable: str = "higher",
    column: str = "",
    attribute: str = "",
    groups: Mapping[str, str] | None = None,
    labels: Mapping[str, int] | None = None,
    by: Actor,
) -> Analysis:
    """Ask for an analysis of one or two finished explanations.

    Fairness is about ``first`` and needs the ``threshold`` at which its output becomes a decision, which side is
    ``favourable`` to the person, and either ``groups`` (row id -> group) or a ``column`` of the rows that says the
    group; ``labels`` (row id -> 0 or 1: the favourable outcome was right) add the rates that need truth. Comparison and
    drift go from ``first`` to ``second``.

    Raises ``BadInput`` with the field, ``Conflict`` for an explanation that has not finished, ``KeysUnavailable``.
    """
    _two(kind, first, second)
    for job in filter(None, (first, second)):
        if job.state != State.FINISHED:
            raise Conflict(
                _("%(subject)s has not finished, so it cannot be analysed.") % {"subject": job.subject},
                code="explanation.not_finished",
            )
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**63:
        raise refused("seed", _("The seed is a whole number from 0."))
    analysis = Analysis(kind=kind, first=first, second=second, parameters={"seed": str(seed)}, requested_by=by.id)
    if kind == Kind.FAIRNESS:
        _decision(analysis, threshold, favourable)
        _people(analysis, column=column, attribute=attribute, groups=groups, labels=labels)
    analysis.save()
    facts = {"kind": kind, "about": [_about(job) for job in analysis.jobs], "parameters": analysis.parameters}
    log.append(Event.ANALYSIS_REQUESTED, analysis, facts=facts, by=by)
    analysis_id = analysis.pk
    transaction.on_commit(lambda: queueing.enqueue_analysis(analysis_id) and None)
    return analysis


def _two(kind: str, first: ExplanationJob, second: ExplanationJob | None) -> None:
    if kind not in Kind.values:
        raise refused("kind", _("Choose what is measured: %(known)s.") % {"known": ", ".join(Kind.values)})
    if kind == Kind.FAIRNESS and second is not None:
        raise refused("second", _("Fairness is about one explanation."))
    if kind != Kind.FAIRNESS and second is None:
        raise refused("second", _("Name the second explanation."))
    if second is not None and second.pk == first.pk:
        raise refused("second", _("Name two different explanations."))


def _decision(analysis: Analysis, threshold: Any, favourable: str) -> None:
    if isinstance(threshold, bool) or not isinstance(threshold, int | float) or not math.isfinite(threshold):
        raise refused("threshold", _("Say at which output the decision turns: a number on the explained scale."))
    if favourable not in FAVOURABLE:
        raise refused("favourable", _("Which side is good for the person: higher or lower."))
    analysis.parameters |= {"threshold": repr(float(threshold)), "favourable": favourable}


def _people(
    analysis: Analysis,
    *,
    column: str,
    attribute: str,
    groups: Mapping[str, str] | None,
    labels: Mapping[str, int] | None,
) -> None:
    """Check and seal who belongs where."""
    job = analysis.first
    if (groups is None) == (not column):
        raise refused("groups", _("Say the group of each row, or name the column that says it."))
    if column and column not in job.names:
        raise refused("column", _("The rows have no column “%(name)s”.") % {"name": column[: given.MOST_NAME]})
    asked = {row.id for row in inputs.rows_of(job)}
    needed = [row.row_id for row in job.results.all() if not row.erased and not row.problem]
    read = given.read(groups, labels, rows=asked, needed=needed)
    sealed = given.seal(read)
    analysis.sealed, analysis.key_id = sealed.body, sealed.key_id
    analysis.parameters |= {
        "column": column,
        "attribute": attribute.strip()[: given.MOST_NAME] or column or "group",
        "labelled": labels is not None,
        "given": sealed.commitment,
    }


def _about(job: ExplanationJob) -> dict[str, str]:
    return {
        "explanation": job.subject,
        "version": job.version.subject,
        "digest": job.digest,
        "standing": job.standing,
        "receipt": job.receipt_digest,
    }


@transaction.atomic
def begin(analysis_id: int, *, by: Actor = WORKER) -> Analysis | None:
    """Start the analysis, or take over what a killed worker left; ``None`` when nothing is to be done any more."""
    analysis = Analysis.objects.select_for_update(of=("self",)).select_related(*_READ).filter(pk=analysis_id).first()
    if analysis is None or not analysis.open:
        return None
    if analysis.state == AnalysisState.QUEUED:
        ANALYSIS_LIFECYCLE.transition(analysis, AnalysisState.RUNNING, changes={"started": timezone.now()}, by=by)
    return analysis


def people(analysis: Analysis) -> Given:
    """The groups and outcomes that were given. Raises ``LookupError`` when they are gone, ``KeysUnavailable``."""
    if analysis.sealed is None or analysis.key_id is None:
        return Given(None, None)
    return given.unseal(bytes(analysis.sealed), analysis.key_id, analysis.parameters["given"])


def freshness(analysis: Analysis) -> Freshness:
    """Whether every explanation that it rests on still speaks about what is there now, recomputed on every read."""
    found = [staleness.standing_now(job).reasons for job in analysis.jobs]
    reasons = tuple(reason for reason in staleness.SENTENCES if any(reason in each for each in found))
    return Freshness("stale" if reasons else "fresh", reasons)


def faults(analysis: Analysis, result: Mapping[str, Any]) -> list[str]:
    """Why a finished analysis must not count as evidence, as codes; empty means that it may.

    Raises ``KeysUnavailable``.
    """
    found = []
    jobs = analysis.jobs
    if any(job.standing != Standing.EVIDENCE for job in jobs):
        found.append("input_is_draft")
    if not freshness(analysis).fresh:
        found.append("input_is_stale")
    if any(receipts.problems(job) for job in jobs):
        found.append("receipt_mismatch")
    if result.get("left_out"):
        found.append("rows_left_out")
    return found


@transaction.atomic
def finish(analysis: Analysis, result: Mapping[str, Any], *, by: Actor = WORKER) -> Analysis:
    """Write result and receipt, decide what it is good for, and destroy what was sealed.

    Raises ``Conflict`` when it has ended, ``KeysUnavailable``.
    """
    found = faults(analysis, result)
    ended = timezone.now()
    standing = Standing.DRAFT if found else Standing.EVIDENCE
    receipt = {
        "v": SHAPE,
        "analysis": analysis.subject,
        "kind": analysis.kind,
        "about": [_about(job) for job in analysis.jobs],
        "parameters": analysis.parameters,
        "result": digest(result),
        "faults": found,
        "standing": standing.value,
        "libraries": receipts.libraries(("numpy", "scipy", "scikit-learn", "fairlearn")),
        "ended": ended.isoformat(timespec="seconds"),
    }
    facts = {
        "kind": analysis.kind,
        "standing": standing.value,
        "faults": found,
        "result": receipt["result"],
        "receipt": digest(receipt),
    }
    changes = {
        "standing": standing.value,
        "result": dict(result),
        "receipt": receipt,
        "receipt_digest": facts["receipt"],
    }
    _end(analysis, AnalysisState.FINISHED, facts=facts, changes=changes, ended=ended, by=by)
    signals.analysis_finished.send(sender=Analysis, analysis=analysis, by=by)
    return analysis


@transaction.atomic
def fail(analysis: Analysis, sentence: str, *, code: str, by: Actor = WORKER) -> Analysis:
    """End the analysis with a sentence that its requester can act on. Raises ``Conflict`` when it has ended."""
    changes = {"error": sentence[:2000]}
    return _end(analysis, AnalysisState.FAILED, facts={"code": code}, reason=sentence[:2000], changes=changes, by=by)


def _end(
    analysis: Analysis,
    state: AnalysisState,
    *,
    facts: Mapping[str, Any],
    changes: Mapping[str, Any],
    ended: Any = None,
    reason: str = "",
    by: Actor,
) -> Analysis:
    # as stored: in memory it is gone when an attempt to finish was rolled back
    key_id = Analysis.objects.values_list("key_id", flat=True).get(pk=analysis.pk)
    gone = {"sealed": None, "key_id": None, "ended": ended or timezone.now()}
    ANALYSIS_LIFECYCLE.transition(analysis, state, facts=facts, reason=reason, changes={**changes, **gone}, by=by)
    if key_id is not None:
        # the sealed body is gone with this transaction; when the keys do not answer now, an idle key stays
        transaction.on_commit(lambda: subject_keys.destroy([key_id]) and None, robust=True)
    return analysis


def problems(analysis: Analysis) -> list[str]:
    """What no longer fits in a finished analysis, as sentences."""
    found = []
    recorded = receipts.recorded_digest(analysis.subject, Event.ANALYSIS_FINISHED)
    if not digest(analysis.receipt) == analysis.receipt_digest == recorded:
        found.append(_("The receipt is not the one whose digest was recorded when the analysis finished."))
    if digest(analysis.result) != analysis.receipt.get("result"):
        found.append(_("The stored result is not that of the receipt."))
    return found


def find(analysis_id: int) -> Analysis:
    """The analysis with what its page reads. Raises ``NotKnown``."""
    analysis = Analysis.objects.select_related(*_READ).defer("sealed").filter(pk=analysis_id).first()
    if analysis is None:
        raise NotKnown(_("There is no analysis %(id)s.") % {"id": analysis_id}, code="analysis.unknown")
    return analysis
