"""Refusals for names, digests and lists that are malformed, before a database constraint has to say no."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils.translation import gettext as _

from audit.refusals import BadInput
from registry.models.versions import DIGEST_PATTERN, NAME_PATTERN


def name(value: str, *, field: str = "name") -> str:
    """``value`` when it may stand in an address and a subject. Raises ``BadInput`` on ``field``."""
    if not isinstance(value, str) or not re.fullmatch(NAME_PATTERN.strip("^$"), value):
        sentence = _("“%(value)s” is not a name: use letters, digits, dot, dash and underscore, at most 128.") % {
            "value": str(value)[:80]
        }
        raise BadInput(sentence, code="name.invalid", fields={field: sentence})
    return value


def digest(value: str, *, field: str = "digest") -> str:
    """``value`` when it is ``sha256:`` and 64 lower-case hexadecimal digits. Raises ``BadInput``."""
    if not isinstance(value, str) or not re.fullmatch(DIGEST_PATTERN.strip("^$"), value):
        sentence = _("“%(value)s” is not a digest: write sha256: and 64 lower-case hexadecimal digits.") % {
            "value": str(value)[:90]
        }
        raise BadInput(sentence, code="digest.invalid", fields={field: sentence})
    return value


def choice(value: str, allowed: Iterable[str], *, field: str) -> str:
    """``value`` when it is one of ``allowed``. Raises ``BadInput`` that lists them."""
    listed = tuple(allowed)
    if value not in listed:
        sentence = _("“%(value)s” is not known here; one of: %(allowed)s.") % {
            "value": str(value)[:80],
            "allowed": ", ".join(listed),
        }
        raise BadInput(sentence, code=f"{field}.unknown", fields={field: sentence})
    return value


def text(value: str, *, field: str, limit: int) -> str:
    """``value`` stripped, when it says something and fits. Raises ``BadInput``."""
    stripped = value.strip() if isinstance(value, str) else ""
    if not stripped or len(stripped) > limit or "\x00" in stripped:
        sentence = _("Say something here, in at most %(limit)d characters.") % {"limit": limit}
        raise BadInput(f"{field}: {sentence}", code=f"{field}.missing", fields={field: sentence})
    return stripped


def optional_text(value: str, *, field: str, limit: int) -> str:
    """``value`` stripped, when it is empty or fits. Raises ``BadInput``."""
    return text(value, field=field, limit=limit) if not isinstance(value, str) or value.strip() else ""


#: No paper about a model is older; an earlier one is a slip in the year.
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


def too_early() -> str:
    """The sentence for a moment before ``EARLIEST``."""
    return _("Look at the year again: nothing before %(year)d is recorded.") % {"year": EARLIEST.year}


def people(values: Iterable[str], *, field: str = "trained_by") -> list[str]:
    """Usernames, each once. Raises ``BadInput`` when empty: whoever trained may not sign, so unknown is not fine."""
    unique = list(dict.fromkeys(str(value).strip() for value in values if str(value).strip()))
    if not unique:
        sentence = _("Name who trained it: they may not sign it off, so nobody can be left out.")
        raise BadInput(sentence, code="trained_by.missing", fields={field: sentence})
    return unique


def contacts(values: Iterable[str], *, field: str = "contacts") -> list[str]:
    """Whom to ask, each once, at most twenty lines of 200 characters. Raises ``BadInput``."""
    lines = list(dict.fromkeys(str(value).strip() for value in values if str(value).strip()))
    wrong = next((line for line in lines if len(line) > 200 or not line.isprintable()), None)
    if wrong is not None or len(lines) > 20:
        sentence = _("Write at most 20 contacts, one a line, each in at most 200 characters.")
        raise BadInput(sentence, code="contacts.invalid", fields={field: sentence})
    return lines


def metrics(values: Mapping[str, Any] | None, *, field: str = "metrics") -> dict[str, str]:
    """Metric name to decimal string. Raises ``BadInput`` for what is not a finite number."""
    kept: dict[str, str] = {}
    for key, value in (values or {}).items():
        try:
            number = Decimal(str(value))
        except InvalidOperation:
            number = Decimal("NaN")
        if isinstance(value, bool) or not number.is_finite():
            sentence = _("Metric “%(key)s” is “%(value)s”, which is not a finite number.") % {
                "key": str(key)[:80],
                "value": str(value)[:40],
            }
            raise BadInput(sentence, code="metrics.invalid", fields={field: sentence})
        kept[str(key)] = str(value)
    return kept
