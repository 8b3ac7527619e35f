"""The one table that says how a state looks: its word, its tone and its icon.

Tones mark exceptions: what has passed is quiet, what waits, fails or was excused speaks. A state that is missing here
is a mistake of the program (``tests/interface`` compares this table with the choices of every model); a page that meets
one nevertheless shows it as needing attention rather than as fine.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class Tone(StrEnum):
    """The five tones of the interface; each is a CSS class ``tone-<name>``."""

    POSITIVE = "positive"
    CAUTION = "caution"
    CRITICAL = "critical"
    INFO = "info"
    NEUTRAL = "neutral"


@dataclass(frozen=True, slots=True)
class Look:
    """How one state is shown."""

    tone: Tone
    icon: str
    label: str | Promise


POSITIVE, CAUTION, CRITICAL, INFO, NEUTRAL = Tone

STATES: dict[str, Look] = {
    # positive
    "passed": Look(POSITIVE, "circle-check", _("Passed")),
    "applied": Look(POSITIVE, "circle-check", _("Applied")),
    "pass": Look(POSITIVE, "circle-check", _("Passed")),
    "within_bound": Look(POSITIVE, "circle-check", _("Within bound")),
    "delivered": Look(POSITIVE, "circle-check", _("Delivered")),
    "signed": Look(POSITIVE, "signature", _("Signed")),
    "approved": Look(POSITIVE, "badge-check", _("Approved")),
    "verified": Look(POSITIVE, "badge-check", _("Verified")),
    "ratified": Look(POSITIVE, "badge-check", _("Ratified")),
    "serving": Look(POSITIVE, "circle-check", _("Serving")),
    "deployed": Look(POSITIVE, "circle-check", _("Deployed")),
    "allow": Look(POSITIVE, "circle-check", _("Allowed")),
    "active": Look(POSITIVE, "circle-check", _("Active")),
    "usable": Look(POSITIVE, "circle-check", _("Valid")),
    "approve": Look(POSITIVE, "signature", _("Approves")),
    "evidence": Look(POSITIVE, "badge-check", _("Evidence")),
    "finished": Look(POSITIVE, "circle-check", _("Finished")),
    "accepted": Look(POSITIVE, "circle-check", _("Accepted")),
    "compliant": Look(POSITIVE, "circle-check", _("Compliant")),
    "better": Look(POSITIVE, "circle-check", _("Better")),
    "agrees": Look(POSITIVE, "circle-check", _("Agrees")),
    "working": Look(POSITIVE, "circle-check", _("Working")),
    # caution
    "waiting": Look(CAUTION, "clock", _("Waiting")),
    "scheduled": Look(CAUTION, "calendar-clock", _("Scheduled")),
    "pending": Look(CAUTION, "clock", _("Pending")),
    "in_review": Look(CAUTION, "clock", _("In review")),
    "awaiting_signoff": Look(CAUTION, "clock", _("Awaiting sign-off")),
    "near_bound": Look(CAUTION, "triangle-alert", _("Near bound")),
    "held": Look(CAUTION, "pause", _("Held")),
    "expiring": Look(CAUTION, "triangle-alert", _("Expiring")),
    "stale": Look(CAUTION, "triangle-alert", _("Stale")),
    "unstable": Look(CAUTION, "triangle-alert", _("Unstable")),
    "warned": Look(CAUTION, "triangle-alert", _("Warned")),
    "unknown": Look(CAUTION, "circle-question-mark", _("Unknown")),
    "not_evaluated": Look(CAUTION, "circle-question-mark", _("Not evaluated")),
    "awaiting_review": Look(CAUTION, "clock", _("Awaiting review")),
    "worse": Look(CAUTION, "triangle-alert", _("Worse")),
    "unreachable": Look(CAUTION, "triangle-alert", _("Unreachable")),
    "open": Look(CAUTION, "circle-alert", _("Open")),
    "cannot_tell": Look(CAUTION, "circle-question-mark", _("Cannot tell")),
    # critical
    "failed": Look(CRITICAL, "circle-x", _("Failed")),
    "fail": Look(CRITICAL, "circle-x", _("Failed")),
    "error": Look(CRITICAL, "circle-alert", _("Error")),
    "deny": Look(CRITICAL, "circle-x", _("Denied")),
    "cannot_decide": Look(CRITICAL, "circle-alert", _("Cannot decide")),
    "blocked": Look(CRITICAL, "circle-x", _("Blocked")),
    "rejected": Look(CRITICAL, "circle-x", _("Rejected")),
    "refused": Look(CRITICAL, "circle-x", _("Refused")),
    "reject": Look(CRITICAL, "circle-x", _("Rejects")),
    "rolled_back": Look(CRITICAL, "undo-2", _("Rolled back")),
    "emergency": Look(CRITICAL, "siren", _("Emergency")),
    "confirmed": Look(CRITICAL, "siren", _("Emergency")),
    "overdue": Look(CRITICAL, "siren", _("Review overdue")),
    "not_ratified": Look(CRITICAL, "circle-x", _("Not ratified")),
    "tampered": Look(CRITICAL, "shield-alert", _("Tampered")),
    "breached": Look(CRITICAL, "shield-alert", _("Breached")),
    "non_compliant": Look(CRITICAL, "shield-alert", _("Non-compliant")),
    "uncovered": Look(CRITICAL, "shield-alert", _("Not covered")),
    "given_up": Look(CRITICAL, "circle-x", _("Given up")),
    "undecided": Look(CRITICAL, "circle-alert", _("Cannot decide")),
    "unlawful": Look(CRITICAL, "shield-alert", _("Unlawful")),
    "frozen": Look(CRITICAL, "snowflake", _("Frozen")),
    "invalid": Look(CRITICAL, "circle-x", _("Invalid answer")),
    "differs": Look(CRITICAL, "circle-x", _("Differs")),
    "conflict": Look(CRITICAL, "shield-alert", _("Another history")),
    # info
    "evaluated": Look(INFO, "scale", _("Evaluated")),
    "running": Look(INFO, "loader", _("Running")),
    "started": Look(INFO, "loader", _("Started")),
    "waived": Look(INFO, "circle-slash", _("Waived")),
    "covered": Look(INFO, "shield-check", _("Covered")),
    "canary": Look(INFO, "loader", _("Canary")),
    "queued": Look(INFO, "hourglass", _("Queued")),
    "paused": Look(CAUTION, "pause", _("Paused")),
    "version_changed": Look(CRITICAL, "circle-x", _("Version changed")),
    "declared": Look(INFO, "hourglass", _("Declared")),
    "proposed": Look(INFO, "hourglass", _("Proposed")),
    "requested": Look(INFO, "hourglass", _("Requested")),
    "taken": Look(INFO, "user", _("Taken")),
    "issued": Look(INFO, "ticket-check", _("Issued")),
    # neutral
    "inside": Look(NEUTRAL, "circle-check", _("Inside")),
    "free": Look(NEUTRAL, "circle-slash", _("Not about people")),
    "draft": Look(NEUTRAL, "circle-dashed", _("Draft")),
    "withdrawn": Look(NEUTRAL, "circle-dashed", _("Withdrawn")),
    "superseded": Look(NEUTRAL, "circle-dashed", _("Superseded")),
    "retired": Look(NEUTRAL, "circle-dashed", _("Retired")),
    "archived": Look(NEUTRAL, "circle-dashed", _("Archived")),
    "expired": Look(NEUTRAL, "clock", _("Expired")),
    "cancelled": Look(NEUTRAL, "circle-slash", _("Cancelled")),
    "consumed": Look(NEUTRAL, "ticket-check", _("Used")),
    "closed": Look(NEUTRAL, "circle-check", _("Closed")),
    "accepted_difference": Look(CAUTION, "circle-slash", _("Accepted, still there")),
    "done": Look(NEUTRAL, "circle-check", _("Done")),
    "revoked": Look(NEUTRAL, "circle-slash", _("Revoked")),
    "ended": Look(NEUTRAL, "circle-dashed", _("Ended")),
    "lifted": Look(NEUTRAL, "circle-check", _("Lifted")),
    "inactive": Look(NEUTRAL, "circle-dashed", _("Inactive")),
    "not_required": Look(NEUTRAL, "circle-slash", _("Not required")),
    "not_applicable": Look(NEUTRAL, "circle-slash", _("Not applicable")),
    "not_serving": Look(NEUTRAL, "circle-dashed", _("Not serving")),
    "changed": Look(NEUTRAL, "circle-dashed", _("Changed")),
    "unchanged": Look(NEUTRAL, "circle-slash", _("Unchanged")),
    "registered": Look(NEUTRAL, "circle-dashed", _("Registered")),
    "untried": Look(NEUTRAL, "circle-dashed", _("Not tried yet")),
}


def look_of(state: str) -> Look:
    """How ``state`` is shown, however it is spelled. An unknown state looks as if it needed attention."""
    key = str(state).strip().lower().replace("-", "_").replace(" ", "_")
    return STATES.get(key) or Look(CAUTION, "circle-question-mark", str(state) or _("Unknown"))
