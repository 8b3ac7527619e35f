"""What changed between what somebody signed and what is asked for now, field by field, in words.

Both sides are the ``subject_parts`` of recorded decisions, so the answer is the same for everybody and at any time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from django.utils.translation import gettext_lazy

#: The parts of a subject in the order in which they are told. One that is not here is told under its own name.
_PARTS = {
    "artifact": gettext_lazy("Artifact"),
    "risk": gettext_lazy("Risk"),
    "environment": gettext_lazy("Environment"),
    "target": gettext_lazy("Where it runs, logs and is looked at"),
    "rollout": gettext_lazy("Rollout"),
    "policy": gettext_lazy("Policies"),
    "data": gettext_lazy("Data sets"),
    "jurisdictions": gettext_lazy("Whose law applies"),
    "safeguards": gettext_lazy("Transfer safeguards"),
    "evidence": gettext_lazy("Evidence"),
    "waivers": gettext_lazy("Waivers"),
    "incidents": gettext_lazy("Incidents"),
    "undecidable": gettext_lazy("What could not be decided"),
}


#: What names a thing in a list, the first that it has.
_NAMES = ("id", "pack", "subject")


@dataclass(frozen=True, slots=True)
class Change:
    """One field of one part. ``of`` is the thing in it (a pack, a data set), or empty. ``kind`` is ``changed``, or
    ``added`` or ``removed`` for a whole thing, which then has no ``field`` and neither ``before`` nor ``now``.
    """

    part: str
    of: str
    kind: str
    field: str = ""
    before: str = ""
    now: str = ""

    @property
    def title(self) -> str:
        """The part in words."""
        return str(_PARTS.get(self.part, self.part))

    def as_json(self) -> dict[str, str]:
        """Plain JSON."""
        return asdict(self)


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[Change, ...]:
    """Every field that differs between two subjects, in the order of ``_PARTS``. Empty when they are the same."""
    names = [*_PARTS, *sorted({*before, *now} - set(_PARTS))]
    return tuple(each for name in names for each in _differing(name, before.get(name), now.get(name)))


def _differing(part: str, before: Any, now: Any) -> Iterator[Change]:
    then, here = _things(before), _things(now)
    for of in sorted({*then, *here}):
        if of not in then or of not in here:
            yield Change(part, of, "removed" if of in then else "added")
            continue
        was, became = then[of], here[of]
        for field in sorted({*was, *became}):
            if was.get(field, "") != became.get(field, ""):
                yield Change(part, of, "changed", field, was.get(field, ""), became.get(field, ""))


def _things(value: Any) -> dict[str, dict[str, str]]:
    """Name of a thing -> its fields as text. A part that is no list is one thing without a name."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        return {"": {str(name): _text(each) for name, each in value.items()}}
    if not isinstance(value, list | tuple):
        return {"": {"": _text(value)}}
    return dict(_thing(each) for each in value)


def _thing(each: Any) -> tuple[str, dict[str, str]]:
    if isinstance(each, Mapping):
        fields = {str(name): _text(value) for name, value in each.items()}
        name = next((name for name in _NAMES if name in fields), "")
        # A data set that lies in several regions is one thing in each.
        named = [fields.pop(each) for each in (name, "region", "claimed_region") if each in fields]
        return " · ".join(filter(None, named)) or _text(each), fields
    if isinstance(each, list | tuple) and each:
        return _text(each[0]), {"": _text(each[1:])}
    return _text(each), {}


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name}: {_text(each)}" for name, each in sorted(value.items()))
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return "" if value is None else str(value)
