"""Aliases: movable names of versions. A move is an entry that states before and after."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput, Conflict
from registry import naming, signals
from registry.models import Alias, Deployment, Model, ModelVersion, Tier
from registry.sources import mlflow_outbox

#: Where two people sign: only what may go there may be what everybody who reads an alias gets.
SIGNED_TIERS = (Tier.PROD, Tier.DR)


@transaction.atomic
def promote(deployment: Deployment, name: str, *, reason: str = "", by: Actor) -> Alias:
    """Point ``name`` at what was deployed, on the decision of that deployment.

    Raises ``Conflict`` for a deployment that gives less than the alias would: outside production, where nobody had to
    sign, or a share of the traffic. Raises what ``mlflow_outbox.must_follow`` and ``move`` do.
    """
    place = {"alias": name[:80], "environment": deployment.environment.slug}
    if deployment.environment.tier not in SIGNED_TIERS:
        sentence = _("%(environment)s is no production: a deployment there moves no alias (“%(alias)s”).")
        raise Conflict(sentence % place, code="alias.not_production")
    if deployment.shares:
        sentence = _(
            "The deployment in %(environment)s takes a share of the traffic; who reads “%(alias)s” would get the "
            "version whole. Move the alias with the deployment that replaces what served before."
        )
        raise Conflict(sentence % place, code="alias.shares")
    naming.name(name, field="alias")
    mlflow_outbox.must_follow(deployment.version, name)
    return move(deployment.model, name, deployment.version, reason=reason, deployment=deployment, by=by)


@transaction.atomic
def move(
    model: Model,
    name: str,
    version: ModelVersion,
    *,
    reason: str = "",
    outside: bool = False,
    read_there: bool = False,
    deployment: Deployment | None = None,
    by: Actor,
) -> Alias:
    """Point ``name`` at ``version``. Nothing is written when it points there already.

    ``outside``: somebody moved it elsewhere and we only follow; the ledger keeps where it had it.
    ``read_there``: the tracking server said so; every other move it is told (``mlflow_outbox``).
    ``deployment``: the one that it was recorded with.

    Raises ``BadInput`` when the version belongs to another model or the name is malformed.
    """
    naming.name(name, field="alias")
    if version.model_id != model.pk:
        sentence = _("%(version)s is not a version of %(model)s.") % {"version": version.label, "model": model.name}
        raise BadInput(sentence, code="alias.other_model", fields={"version": sentence})
    Model.objects.select_for_update().get(pk=model.pk)
    alias = Alias.objects.select_related("model", "version__model").filter(model=model, name=name).first()
    was = alias.version if alias else None
    if was is not None and was.pk == version.pk and alias is not None and (outside or not alias.outside):
        return alias
    alias = alias or Alias(model=model, name=name)
    ledger = (alias.ledger if alias.outside else was.subject if was else "") if outside else version.subject
    alias.version, alias.outside = version, ledger != version.subject
    alias.ledger = ledger if alias.outside else ""
    alias.save()
    log.append(
        Event.ALIAS_MOVED,
        alias,
        facts={
            "version": version.subject,
            "digest": version.digest,
            "before": {"version": was.subject, "digest": was.digest} if was else {},
            "after": {"version": version.subject, "digest": version.digest},
            **(_with(deployment) if deployment else {}),
        },
        reason=reason,
        by=by,
    )
    if outside:
        mlflow_outbox.overtaken(alias, by=by)
    elif not read_there:
        mlflow_outbox.owe_alias(alias, was)
    signals.alias_moved.send(sender=Alias, alias=alias, was=was, by=by)
    return alias


def _with(deployment: Deployment) -> dict[str, str]:
    return {**deployment.about, "deployment": deployment.subject, "decision": deployment.decision_id}
