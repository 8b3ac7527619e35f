"""Reading the gate's answer with suspicion: it allows only when everything in it agrees that it does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from countersign.exits import Exit, Stop
from countersign.reports import waiver_of

_CODES = {"allow": Exit.ALLOW, "deny": Exit.DENIED, "pending": Exit.PENDING, "error": Exit.UNDECIDED}
#: How far this machine's clock and the server's may be apart.
CLOCK_SKEW = timedelta(minutes=5)


@dataclass(frozen=True)
class Answer:
    """A gate's answer that was understood. ``raw`` is the JSON as it came."""

    raw: dict[str, Any]
    word: str
    code: Exit

    @property
    def findings(self) -> list[dict[str, Any]]:
        return [one for one in self.raw.get("findings") or [] if isinstance(one, dict)]

    @property
    def missing(self) -> list[dict[str, Any]]:
        signoff = self.raw.get("signoff")
        found = signoff.get("missing") if isinstance(signoff, dict) else None
        return [one for one in found or [] if isinstance(one, dict)]

    def text(self, *path: str) -> str:
        """A text deep in the answer, or empty."""
        found: Any = self.raw
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        return found if isinstance(found, str) else ""


def now_utc() -> datetime:
    """This machine's clock."""
    return datetime.now(UTC)


def understand(raw: dict[str, Any], asked: dict[str, Any], *, clock: Callable[[], datetime] = now_utc) -> Answer:
    """The answer to ``asked``. Raises ``Stop``: UNDECIDED for what is not understood or is over by ``clock``, MISMATCH
    for another subject.
    """
    word = raw.get("decision")
    if not isinstance(word, str) or word not in _CODES:
        raise Stop(Exit.UNDECIDED, f"The decision {word!r} is not known: this client may be older than the server.")
    answer = Answer(raw, word, _CODES[word])
    if asked["mode"] != "dry_run" and not answer.text("decision_id"):
        raise Stop(Exit.UNDECIDED, "The answer carries no decision_id, so nothing was recorded.")
    _same_subject(answer, asked)
    if word == "allow":
        against = [one for one in answer.findings if _blocks(one)]
        if against or answer.missing or not isinstance(raw.get("findings"), list):
            raise Stop(Exit.UNDECIDED, "The answer says allow, but what it lists does not agree.")
        _still_valid(answer, clock())
    return answer


def _still_valid(answer: Answer, now: datetime) -> None:
    """Raises ``Stop`` for an allow that ended, or that does not say in UTC when it ends: it may be an old one."""
    text = answer.text("valid_until")
    try:
        until = datetime.fromisoformat(text)
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise Stop(Exit.UNDECIDED, f"The answer says allow, but not until when: its valid_until is {text!r}.")
    if until <= now - CLOCK_SKEW:
        raise Stop(Exit.UNDECIDED, f"The answer says allow, but only until {text}; ask again with a fresh key.")


def permit_of(raw: dict[str, Any]) -> str:
    """The permit's secret, or empty."""
    permit = raw.get("permit")
    if isinstance(permit, dict):
        permit = permit.get("secret")
    return permit if isinstance(permit, str) else ""


def _blocks(finding: Mapping[str, Any]) -> bool:
    quiet = finding.get("outcome") in ("pass", "not_applicable") or waiver_of(finding)
    return finding.get("severity") == "block" and not quiet


def _same_subject(answer: Answer, asked: dict[str, Any]) -> None:
    """What the server echoes must be what was asked; an older server that echoes nothing is fine."""
    model = asked["model"]
    pairs = {
        "model": (model.get("name", ""), answer.text("model", "name")),
        "version": (model.get("version", ""), answer.text("model", "version")),
        "digest": (model.get("digest", ""), answer.text("model", "digest")),
        "environment": (asked["environment"], answer.text("environment")),
        "action": (asked["action"], answer.text("action")),
    }
    for name, (wanted, got) in pairs.items():
        if wanted and got and wanted != got:
            raise Stop(Exit.MISMATCH, f"The answer is about the {name} {got!r}, but {wanted!r} was asked.")
