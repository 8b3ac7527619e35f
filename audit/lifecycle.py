"""State machines whose every transition is an entry in the same transaction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _

from audit import log
from audit.actors import Actor
from audit.models.events import Event
from audit.models.governed import Governed
from audit.refusals import Conflict


@dataclass(frozen=True)
class Lifecycle:
    """The transitions that ``field`` of a governed model may take, each with the event that records it."""

    field: str
    transitions: Mapping[tuple[str, str], Event]

    def transition(
        self,
        instance: Governed,
        to: str,
        *,
        facts: Mapping[str, Any] | None = None,
        private: Mapping[str, str] | None = None,
        reason: str = "",
        changes: Mapping[str, Any] | None = None,
        by: Actor,
    ) -> log.Receipt:
        """Move ``instance`` to ``to``, save ``changes`` with it and append the entry.

        The row is locked and its *stored* state decides, not the state in memory. The entry's facts gain ``from`` and
        ``to``. ``instance`` is updated in place. Raises ``Conflict`` when no transition leads there, and whatever
        ``audit.log.append`` raises; call it inside ``transaction.atomic()``.
        """
        log.require_transaction()
        stored = type(instance)._default_manager.select_for_update().get(pk=instance.pk)
        current = str(getattr(stored, self.field))
        event = self.transitions.get((current, to))
        if event is None:
            raise Conflict(
                _("%(subject)s is %(current)s by now, so it cannot become %(to)s. Load the page again.")
                % {"subject": stored.subject, "current": current, "to": to},
                code=f"{stored._meta.model_name}.{self.field}",
            )
        values = {**(changes or {}), self.field: to}
        for name, value in values.items():
            setattr(stored, name, value)
            setattr(instance, name, value)
        stored.save(update_fields=list(values))
        moved = {**(facts or {}), "from": current, "to": to}
        return log.append(event, instance, facts=moved, private=private, reason=reason, by=by)

    def targets(self, state: str) -> frozenset[str]:
        """The states that can follow ``state``."""
        return frozenset(target for source, target in self.transitions if source == state)
