"""What the numbers of a job say, as sentences: the conclusion before the evidence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from explain.estimates import Estimate
from explain.methods.pairperm import Z95
from explain.models import Algorithm, ExplanationJob, ExplanationRow, Method, Standing, State

#: Words for the findings of the probe and the faults of results.
WORDS = {
    "batch_dependent": gettext_lazy(
        "The endpoint gives a row another answer depending on the other rows of the request."
    ),
    "order_dependent": gettext_lazy("The endpoint gives a row another answer when the rows come in another order."),
    "not_deterministic": gettext_lazy("The endpoint gives the same rows another answer when they are sent again."),
    "formats_disagree": gettext_lazy(
        "The endpoint answers the same rows otherwise in another format; they went in the format that callers use."
    ),
    "parity_failed": gettext_lazy("The endpoint answers otherwise than the model that is registered."),
    "only_zero_or_one": gettext_lazy("Every probed probability is exactly 0 or 1: they may be labels."),
    "labels": gettext_lazy("The endpoint answers labels where its contract promises probabilities."),
    "not_probabilities": gettext_lazy("Some answers are no probabilities: they are below 0 or above 1."),
    "not_summing": gettext_lazy("The probabilities of a row do not add up to 1."),
    "row_failed": gettext_lazy("Some rows have no result."),
    "not_finite": gettext_lazy("Some results are not finite numbers."),
    "not_additive": gettext_lazy("Some rows do not add up to their prediction."),
    "not_converged": gettext_lazy("Some rows did not reach the tolerance."),
    "disagrees": gettext_lazy("Some rows do not agree with the run that it repeats within the stated error."),
    "unstable": gettext_lazy("Some local models do not fit, or differ from seed to seed."),
}

#: Why an estimator was chosen, by the code that the plan holds.
BECAUSE = {
    "asked": gettext_lazy("It was asked for."),
    "few_features": gettext_lazy(
        "There are so few features that all their combinations can be asked: the values are exact."
    ),
    "artifact.agrees": gettext_lazy(
        "The model’s files are at hand and answer as the endpoint does, so the values are computed from them exactly."
    ),
    "black_box": gettext_lazy("The model can only be asked, so its answers are sampled with a stated error."),
}


@dataclass(frozen=True, slots=True)
class Line:
    """One sentence about quality; ``state`` is a word of ``config.states``."""

    state: str
    sentence: str


def conclusion(job: ExplanationJob) -> str:
    """The first line of the page."""
    match job.state:
        case State.QUEUED:
            return _("Waiting for a worker. Nothing is lost when the broker or a worker stops.")
        case State.RUNNING:
            return _("A worker is asking the served model.")
        case State.PAUSED:
            return _("Paused. Finished rows are kept; nobody asks the model until somebody resumes it.")
        case State.WAITING:
            return _("The endpoint does not answer. Finished rows are kept, and the rest is asked for again later.")
        case State.CANCELLED:
            return _("Cancelled before it was finished; its results are no evidence.")
        case State.VERSION_CHANGED:
            return _("Another model answered in the middle of the job, so nothing of its results is kept.")
        case State.FAILED:
            return job.error
    if job.standing == Standing.EVIDENCE:
        return _("Counts as evidence for exactly this version: every row passed every quality rule.")
    return _("A draft: it does not count as evidence.")


def quality(job: ExplanationJob, rows: Sequence[ExplanationRow]) -> list[Line]:
    """Quality numbers of a finished job; empty when there are none yet."""
    good = [row for row in rows if not row.problem and not row.erased]
    if job.state != State.FINISHED or not good:
        return []
    lines = _lime(good) if job.method == Method.LIME else _shap(job, good)
    failed = sum(bool(row.problem) for row in rows)
    if failed:
        lines.append(
            Line(
                "failed",
                ngettext("%(n)d row has no result.", "%(n)d rows have no result.", failed) % {"n": failed},
            )
        )
    erased = sum(row.erased for row in rows)
    if erased:
        words = ngettext("%(n)d row was erased.", "%(n)d rows were erased.", erased) % {"n": erased}
        lines.append(Line("warned", words))
    return lines + _endpoint(job)


def _shap(job: ExplanationJob, rows: Sequence[ExplanationRow]) -> list[Line]:
    residual = max(abs(row.residual or 0.0) for row in rows)
    additive = all(abs(row.residual or 0.0) <= 1e-6 * max(1.0, abs(row.fx or 0.0)) for row in rows)
    error = max(Z95 * max(row.se, default=0.0) for row in rows)
    reached = sum(row.converged for row in rows)
    return [
        Line(
            "passed" if additive else "failed",
            _("Base value plus contributions equal the prediction in every row; the largest difference is %(value)s.")
            % {"value": f"{residual:.2g}"}
            if additive
            else _("Base value plus contributions miss the prediction by up to %(value)s.")
            % {"value": f"{residual:.2g}"},
        ),
        Line("passed", _("Every value is exact: nothing of it is left to chance."))
        if error == 0
        else Line(
            "passed" if reached == len(rows) else "unstable",
            _(
                "%(reached)d of %(rows)d rows reached the tolerance of %(tol)s %%; "
                "no contribution is less certain than ±%(error)s (95 %%)."
            )
            % {"reached": reached, "rows": len(rows), "tol": f"{100 * float(job.tol):g}", "error": f"{error:.2g}"},
        ),
    ]


def _lime(rows: Sequence[ExplanationRow]) -> list[Line]:
    def least(name: str) -> float:
        return min(float(row.diagnostics[name]) for row in rows)

    stable = sum(row.converged for row in rows)
    return [
        Line(
            "passed" if stable == len(rows) else "unstable",
            _("%(stable)d of %(rows)d local models are stable: five seeds agree and the fit is good enough.")
            % {"stable": stable, "rows": len(rows)},
        ),
        Line(
            "passed" if least("r2") >= 0.5 else "unstable",
            _("The weakest local fit explains %(share)s %% of the model around its row (R²; at least 50 %% is needed).")
            % {"share": f"{100 * least('r2'):.0f}"},
        ),
        Line(
            "passed" if least("vsi") >= 0.8 and least("csi") >= 0.9 else "unstable",
            _("Top features agree between seeds by at least %(vsi)s, their signs by at least %(csi)s (1 is always).")
            % {"vsi": f"{least('vsi'):.2f}", "csi": f"{least('csi'):.2f}"},
        ),
    ]


def _endpoint(job: ExplanationJob) -> list[Line]:
    probe = job.receipt.get("probe", {})
    findings = [str(finding) for finding in probe.get("findings", [])]
    count = len(probe.get("canaries", []))
    lines = [Line("warned", str(WORDS.get(finding, finding))) for finding in findings]
    if not {"batch_dependent", "order_dependent", "not_deterministic"} & set(findings):
        sentence = _("The endpoint gave %(count)d rows the same answers alone, together and in reverse order.")
        lines.append(Line("passed", sentence % {"count": count}))
    lines.append(Line("passed", _("The same rows still got the same answers when the job ended: one model answered.")))
    return lines


def certainty(certain: int, phi: Sequence[float], names: Sequence[str]) -> str:
    """Which ranks of one row may be read as a ranking. ``certain``: how many lead by more than their error."""
    if certain == 0 and len(names) > 1:
        return _("The order of the features is uncertain: their intervals overlap. Read them as ties.")
    order = sorted(range(len(names)), key=lambda j: -abs(phi[j]))
    whole = certain >= len(names) - 1
    sure = _(", ").join(names[j] for j in order[: len(names) if whole else certain][:5])
    if whole:
        return _("The order of all features is certain: %(names)s.") % {"names": sure}
    words = ngettext(
        "Certain is only the largest: %(names)s. Later ranks may be ties.",
        "The order is certain for the first %(n)d: %(names)s. Later ranks may be ties.",
        certain,
    )
    return words % {"n": certain, "names": sure}


def algorithm(code: str) -> str:
    """The estimator in words."""
    return str(dict(Algorithm.choices).get(code, code))


def because(job: ExplanationJob) -> str:
    """Why this estimator; empty before anybody chose."""
    code = str(job.plan.get("because", ""))
    return str(BECAUSE.get(code, code))


def cost(estimate: Estimate) -> str:
    """The estimate in one sentence, before anything starts."""
    words = {
        "rows": f"{estimate.rows:,}",
        "likely": f"{estimate.model_rows_likely:,}",
        "requests": f"{estimate.requests_likely:,}",
        "time": duration(estimate.seconds_likely),
    }
    if estimate.seconds_likely is None:
        return (
            _(
                "Explaining %(rows)s rows takes about %(likely)s model rows in %(requests)s requests. How long that "
                "takes is known when the endpoint was asked once."
            )
            % words
        )
    return (
        _("Explaining %(rows)s rows takes about %(likely)s model rows in %(requests)s requests, about %(time)s.")
        % words
    )


def duration(seconds: float | None) -> str:
    """``«40 seconds»``, ``«3 minutes»``, ``«2.5 hours»``; a dash for what is not known."""
    if seconds is None:
        return "—"
    if seconds < 90:
        whole = max(round(seconds), 1)
        return ngettext("%(n)d second", "%(n)d seconds", whole) % {"n": whole}
    if seconds < 5400:
        whole = round(seconds / 60)
        return ngettext("%(n)d minute", "%(n)d minutes", whole) % {"n": whole}
    return _("%(n)s hours") % {"n": f"{seconds / 3600:.1f}"}


def agreement(job: ExplanationJob) -> Line | None:
    """Whether a repeated question had the same answer; None for a job that repeats nothing or has not finished."""
    found = job.receipt.get("agreement")
    if not found:
        return None
    words = {
        "with": found.get("with", ""),
        "agree": found.get("agree", 0),
        "rows": found.get("rows", 0),
        "largest": f"{float(found.get('largest', 0.0)):.2g}",
    }
    if found.get("identical"):
        return Line(
            "agrees", _("Run again after %(with)s: every value of %(rows)d rows is the same to the last bit.") % words
        )
    holds = 0 < words["rows"] == words["agree"]
    if holds:
        sentence = _(
            "Run again after %(with)s: all %(rows)d rows agree within the stated error "
            "(largest difference %(largest)s)."
        )
        return Line("agrees", sentence % words)
    sentence = _(
        "Run again after %(with)s: only %(agree)d of %(rows)d rows agree within the stated error "
        "(largest difference %(largest)s)."
    )
    return Line("differs", sentence % words)
