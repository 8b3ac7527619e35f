"""One round of publishing: witnesses, timestamps, copies and alerts, none of which can hold up another for good."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

import psycopg
from django.conf import settings
from django.db import Error, connection

from audit import alerts, delivery, timestamps
from audit.outgoing import NotDelivered
from audit.publication import Checkpoint, Patience, Register
from audit.witnesses.configuration import PolicyUnusable
from audit.witnesses.submission import Submission

logger = logging.getLogger(__name__)

_Deliver = Callable[[Checkpoint, str], bytes]


class Publisher:
    """Brings checkpoints out of this server. ``connection_url`` names the role ``audit_sequencer``."""

    def __init__(self, connection_url: str) -> None:
        self._register = Register(connection_url)
        self._submission = Submission(self._register)
        self._patience: dict[tuple[int, str], Patience] = {}
        self._channels = {"mail": Patience(), "webhook": Patience()}

    def run_once(self) -> list[str]:
        """One round; returns a sentence for each part that could not be done at all.

        What one place outside does wrong is stored as its state (``audit.publication``) and is not returned. Raises
        ``AlreadyPublishing``.
        """
        problems = [problem for problem in (self._publish(), self._alert()) if problem]
        connection.close_if_unusable_or_obsolete()
        return problems

    def close(self) -> None:
        """Give up the lock and the connections."""
        self._register.close()
        connection.close()

    def _publish(self) -> str:
        problem = ""
        try:
            for checkpoint in self._register.checkpoints():
                try:
                    self._submission.push(checkpoint)
                except PolicyUnusable as error:
                    problem = str(error)
                self._copy(checkpoint)
        except psycopg.Error as error:
            self._register.close()
            return f"the database does not answer the publisher: {str(error).strip()}"
        return problem

    def _copy(self, checkpoint: Checkpoint) -> None:
        """Timestamp and copies; the copies carry the cosignatures that are known by now."""
        places: list[tuple[str, str, _Deliver]] = [
            ("rfc3161", settings.TIMESTAMP_URL, lambda stamped, _text: timestamps.stamp(stamped)),
            ("folder", settings.CHECKPOINT_FOLDER, delivery.to_folder),
            ("git", settings.CHECKPOINT_GIT, delivery.to_git),
            ("webhook", settings.CHECKPOINT_WEBHOOK, delivery.to_webhook),
        ]
        for kind, address, deliver in places:
            patience = self._patience.setdefault((checkpoint.log_id, kind), Patience())
            if not address or not patience.over or not self._register.is_due(checkpoint, kind, datetime.now(UTC)):
                continue
            text = checkpoint.note + "".join(self._register.cosignature_lines(checkpoint))
            try:
                token = deliver(checkpoint, text)
            except NotDelivered as refusal:
                patience.failed()
                self._register.tell(checkpoint, kind, "", refusal.state, refusal.sentence)
                continue
            patience.worked()
            self._register.anchored(checkpoint, kind, token)
            self._register.tell(checkpoint, kind, "", "working")

    def _alert(self) -> str:
        try:
            alerts.check()
            alerts.deliver(self._channels)
        except (Error, psycopg.Error) as error:
            return f"the alerts could not be checked: {str(error).strip()}"
        return ""
