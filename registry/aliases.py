"""Aliases: movable names of versions. A move is an entry that states before and after."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.refusals import BadInput
from registry import naming, signals
from registry.models import Alias, Model, ModelVersion


@transaction.atomic
def move(
    model: Model, name: str, version: ModelVersion, *, reason: str = "", outside: bool = False, by: Actor
) -> Alias:
    """Point ``name`` at ``version``. Nothing is written when it points there already.

    ``outside``: somebody moved it elsewhere and we only follow; the ledger keeps where it had it.

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
        },
        reason=reason,
        by=by,
    )
    signals.alias_moved.send(sender=Alias, alias=alias, was=was, by=by)
    return alias
