"""What a version needs to run, as whoever registered it said: requirements in the form that pip reads. Pure.

Nothing is resolved, completed or looked up: a requirement without ``==`` has no version here, and a version of which
nobody said anything has no dependencies that could be shown (``None``), which is not the same as needing none.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

from django.utils.translation import gettext as _

from audit.refusals import BadInput

#: Requirements of one version.
MOST = 2000
_ASKED = r"(?:===|[<>=!~]=|[<>])\s*[A-Za-z0-9.*+!_-]{1,60}"
_LINE = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)(?:\[[A-Za-z0-9._, -]{0,200}\])?"
    rf"\s*(?P<asked>{_ASKED}(?:\s*,\s*{_ASKED})*)?\s*(?:;[^#]{{0,300}})?"
)
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)")
_PINNED = re.compile(r"={2,3}\s*([^*\s,]{1,60})")
_LIBRARY = re.compile(
    r"(?P<digest>sha256:[0-9a-f]{64})"
    r"|(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]{0,98}[A-Za-z0-9])?)(?:==(?P<version>[A-Za-z0-9.+!_-]{1,60}))?"
)


class Dependency(TypedDict):
    """``requirement`` is the line as it was given; ``version`` is empty unless it is pinned; hashes are sha256:…"""

    name: str
    version: str
    requirement: str
    hashes: list[str]


@dataclass(frozen=True, slots=True)
class Library:
    """What ``library:…`` names: a ``name``, one ``version`` of it when it is said, or a file by its ``digest``."""

    name: str = ""
    version: str = ""
    digest: str = ""

    def needed_by(self, needs: Iterable[Dependency]) -> bool:
        """Whether one of ``needs`` is it. One that is not pinned may be any version, so it counts as this one."""
        if self.digest:
            return any(self.digest in each["hashes"] for each in needs)
        return any(
            each["name"] == self.name and self.version in ("", each["version"] or self.version) for each in needs
        )

    def unsaid_by(self, needs: Iterable[Dependency] | None) -> bool:
        """Whether nobody can say that it is not needed: no list at all, or a file that is known by no digest."""
        return needs is None or bool(self.digest and any(not each["hashes"] for each in needs))


def library(text: str) -> Library:
    """``numpy``, ``numpy==2.4.1`` or ``sha256:<64 hexadecimal digits>``. Raises ``BadInput`` for anything else."""
    match = _LIBRARY.fullmatch(text)
    if match is None:
        sentence = _("Write library:numpy, library:numpy==2.4.1 or library:sha256:… with the 64 digits of its file.")
        raise BadInput(sentence, code="reach.library", fields={"subject": sentence})
    if match["digest"]:
        return Library(digest=match["digest"])
    return Library(_normalised(match["name"]), match["version"] or "")


def read(lines: Iterable[str]) -> list[Dependency]:
    """Requirements by name (PEP 503). Raises ``BadInput`` for a line that is no named requirement: no file, no URL."""
    found: dict[str, Dependency] = {}
    for number, line in enumerate(lines, start=1):
        if number > MOST:
            sentence = _("A version names at most %(most)d dependencies.") % {"most": MOST}
            raise BadInput(sentence, code="dependencies.too_many", fields={"dependencies": sentence})
        one = _read(str(line))
        if one["name"] in found and found[one["name"]] != one:
            sentence = _("“%(name)s” is listed twice with different requirements.") % {"name": one["name"]}
            raise BadInput(sentence, code="dependencies.twice", fields={"dependencies": sentence})
        found[one["name"]] = one
    return [found[name] for name in sorted(found)]


def _read(line: str) -> Dependency:
    hashes = _HASH.findall(line)
    text = _HASH.sub("", line).strip()
    match = _LINE.fullmatch(text) if text.isprintable() else None
    if match is None or len(line) > 4000:
        sentence = _("“%(line)s” is not a requirement: write name==version, with --hash=sha256:… if you know it.")
        told = sentence % {"line": line[:80]}
        raise BadInput(told, code="dependencies.invalid", fields={"dependencies": told})
    pinned = _PINNED.fullmatch((match["asked"] or "").strip())
    return Dependency(
        name=_normalised(match["name"]),
        version=pinned[1] if pinned else "",
        requirement=" ".join(text.split()),
        hashes=[f"sha256:{each}" for each in sorted(set(hashes))],
    )


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def digest_of(needs: Sequence[Dependency] | None) -> str:
    """``sha256:`` of the list as it is stored, for the entry; empty when nobody said anything."""
    if needs is None:
        return ""
    return "sha256:" + hashlib.sha256(json.dumps(needs, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
