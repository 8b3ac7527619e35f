"""Reading a moment from a request."""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from audit.refusals import BadInput


def moment(text: str) -> datetime | None:
    """``as_of`` of a request, or None when it is not given. Raises BadInput for anything but RFC 3339 with a zone."""
    if not text:
        return None
    try:
        found = parse_datetime(text.replace(" ", "+"))
    except ValueError:
        found = None
    if found is None or timezone.is_naive(found):
        raise BadInput(
            _("as_of must be a moment with its zone, for example 2026-11-22T09:00:00Z, not “%(given)s”.")
            % {"given": text[:60]},
            code="as_of.malformed",
            fields={"as_of": _("RFC 3339 with a zone.")},
        )
    return found
