"""Exports as pages and the API show them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from audit.exports.scope import FIELDS, Scope
from audit.models import Export
from audit.queries import actors
from audit.refusals import NotKnown

_SHOWN = 50


@dataclass(frozen=True, slots=True)
class Shown:
    """An export with its scope and the name of who asked (the pseudonym when the name was erased)."""

    export: Export
    scope: Scope
    requested_by: str

    @property
    def disclosed(self) -> list[str]:
        """The private values in it, in words."""
        return [str(FIELDS.get(field, field)) for field in self.scope.disclose]

    @property
    def title(self) -> str:
        """What it holds, in words."""
        scope = self.scope
        if scope.everything:
            return _("The whole log")
        parts = [name for name in (scope.model, scope.environment) if name]
        if scope.since:
            parts.append(_("from %(day)s") % {"day": scope.since.strftime("%Y-%m-%d %H:%M")})
        if scope.until:
            parts.append(_("before %(day)s") % {"day": scope.until.strftime("%Y-%m-%d %H:%M")})
        return " · ".join(parts)


def newest() -> list[Shown]:
    """The newest fifty exports. Two queries."""
    names = dict(actors())
    return [_shown(export, names) for export in Export.objects.order_by("-id")[:_SHOWN]]


def find(number: int) -> Shown:
    """One export. Raises ``NotKnown``."""
    export = Export.objects.filter(pk=number).first() if number < 2**31 else None
    if export is None:
        raise NotKnown(_("There is no export %(number)d.") % {"number": number}, code="export.unknown")
    return _shown(export, dict(actors()))


def _shown(export: Export, names: dict[str, str]) -> Shown:
    return Shown(export, Scope.from_stored(export.scope), names.get(export.requested_by, export.requested_by))
