"""Where the workers of this deployment are, and whether rows of an environment may come to them.

A worker asks the served model and keeps what it answered, so that live data reach the worker's region: a flow like a
log or a backup (``explanation_job``). The gate looks at where an environment *says* that its workers are; here what it
says is compared with where they *are*. Both sides fail closed: once the region of the workers is known, an environment
that names no region, or another, has no explanations.
"""

from __future__ import annotations

from django.conf import settings
from django.utils.translation import gettext as _

from audit.refusals import BadInput, Refused
from registry import regions
from registry.models import Endpoint


def workers_region() -> str:
    """``provider:region`` of the workers that this process sends work to, or is; empty when nobody said."""
    return str(getattr(settings, "EXPLANATION_WORKER_REGION", "") or "")


def refuse_elsewhere(endpoint: Endpoint) -> None:
    """Raise ``Refused`` when rows of the endpoint's environment must not be explained here; select the environment with
    the endpoint.

    Without ``EXPLANATION_WORKER_REGION`` nothing is compared: where the workers are is then only what the environment
    says, which the gate judges.
    """
    here = workers_region()
    if not here:
        return
    try:
        regions.lookup(here)
    except BadInput as error:
        sentence = _("EXPLANATION_WORKER_REGION is wrong, so nobody knows where explanations are computed: %(why)s")
        raise Refused(sentence % {"why": error.sentence}, code="explanation.region_unknown") from error
    listed = endpoint.environment.explanation_workers
    told = {"environment": endpoint.environment.subject, "here": here, "listed": ", ".join(listed or ())}
    if listed is None:
        raise Refused(
            _("Nobody said where workers may explain models of %(environment)s; these are in %(here)s. Say it first.")
            % told,
            code="explanation.region_unsaid",
        )
    if not listed:
        raise Refused(
            _("%(environment)s says that no worker explains its models; these would, in %(here)s. Change it first.")
            % told,
            code="explanation.region_none",
        )
    if here not in listed:
        raise Refused(
            _("Models of %(environment)s are explained in %(listed)s only, and the workers here are in %(here)s.")
            % told,
            code="explanation.region_elsewhere",
        )
