"""The frozen log: what the database holds is not what was signed, so nothing is written until a person has looked."""

from __future__ import annotations

STEPS = (
    "Leave everything as it is. Entries still commit and wait; nothing is lost by waiting. Never delete or restore the"
    " signer's state: that is what an attacker would do.",
    "Keep what shows the difference:\n"
    "     python3 manage.py audit_verify --checkpoint KEPT_CHECKPOINT\n"
    "     python3 manage.py audit_backup FOLDER",
    "Was an older database restored, or did a failover lose the newest entries? Put the missing ones back, byte for"
    " byte and in their order, from a copy, a backup or an export that has them:\n"
    "     python3 manage.py audit_restore replay SOURCE --by NAME",
    "The sequencer goes on by itself as soon as the tree is the signed one. Check:\n"
    "     python3 manage.py audit_verify",
    "Only if no copy of the missing entries exists: give this log up. Its successor's first entry states the loss:\n"
    "     python3 manage.py audit_shard lost --reason TEXT --by NAME",
    "If someone else may have the signer's keys, follow the procedure for a compromised key instead:\n"
    "     python3 manage.py audit_shard compromise --stands CHECKPOINT_FILE --by NAME",
)


class LogFrozen(Exception):  # noqa: N818
    """The tree in the database is not the one that was signed; ``procedure`` says what a person does now."""

    @property
    def procedure(self) -> str:
        """The numbered steps with their commands (docs/recovery.md)."""
        return "\n".join(f"  {number}. {step}" for number, step in enumerate(STEPS, 1))
