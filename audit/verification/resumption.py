"""An interrupted verification goes on where it stopped: a small file holds how far it came and the tree's frontier.

The file is believed only when the root of its frontier is the one that a checkpoint of that size signs, and when it
carries the authentication code that this installation's SECRET_KEY gives. Otherwise the verification starts over.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.core import signing
from django.utils.translation import gettext as _

from audit.merkle.tree import HASH_BYTES, TILE_WIDTH
from audit.verification.forest import Forest, Frontier
from audit.verification.notes import Notes

_SALT = "audit.verification.resumption"


@dataclass(frozen=True, slots=True)
class Earlier:
    """What an earlier run read: the leaves before ``start``; ``above`` are the hashes of the unfinished upper tiles."""

    start: int
    above: list[list[bytes]]
    at: str

    @property
    def sentence(self) -> str:
        """What this run does not say of its own knowledge."""
        if not self.start:
            return _("nothing was skipped")
        return _("#0 to #%(last)d were read by the run of %(at)s that this one resumes, and not read again") % {
            "last": self.start - 1,
            "at": self.at,
        }


def save(path: Path, number: int, forest: Forest) -> None:
    """Keep the state at the newest signed size. Written beside and moved, so that a crash leaves the old one."""
    frontier = forest.frontier
    if not frontier.size:
        return
    told = {
        "log": number,
        "size": frontier.size,
        "frontier": [b"".join(level).hex() for level in frontier.partial],
        "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC"),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.touch(mode=0o600)
    beside.write_text(signing.dumps(told, salt=_SALT))
    beside.replace(path)


def load(path: Path, number: int, notes: Notes) -> Earlier | None:
    """The state of an earlier run of this log, None when there is none that can be believed."""
    try:
        told: dict[str, Any] = signing.loads(path.read_text(), salt=_SALT)
        levels = [bytes.fromhex(level) for level in told["frontier"]]
        frontier = Frontier(told["size"], [_hashes(level) for level in levels])
        root = frontier.root()
    except (OSError, signing.BadSignature, ValueError, KeyError, TypeError, json.JSONDecodeError):
        return None
    signed = any((head.size, head.root) == (frontier.size, root) for head in notes.heads)
    if told["log"] != number or not signed or not _fits(frontier):
        return None
    return Earlier(frontier.size // TILE_WIDTH * TILE_WIDTH, frontier.partial[1:], told["at"])


def forget(path: Path) -> None:
    """The run is complete: the next one reads everything."""
    path.unlink(missing_ok=True)


def _hashes(data: bytes) -> list[bytes]:
    return [data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)]


def _fits(frontier: Frontier) -> bool:
    """Whether each level holds as many whole hashes as a tree of that size has there."""
    size = frontier.size
    for level in frontier.partial:
        if len(level) != size % TILE_WIDTH or any(len(hashed) != HASH_BYTES for hashed in level):
            return False
        size //= TILE_WIDTH
    return size == 0
