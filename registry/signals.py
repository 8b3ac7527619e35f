"""Facts that go up: the registry sends, an upper app connects in its ``AppConfig.ready()``.

Each is sent inside the transaction of the change, after the entry was appended: a receiver's refusal undoes both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.dispatch import Signal

#: ``version: ModelVersion, by: Actor``
version_registered = Signal()
#: ``deployment: Deployment, by: Actor``; also for rollbacks, see ``deployment.kind``.
deployment_recorded = Signal()
#: ``alias: Alias, was: ModelVersion | None, by: Actor``
alias_moved = Signal()
#: ``dataset: Dataset, by: Actor``; registered or changed.
dataset_changed = Signal()
#: ``versions: tuple[ModelVersion, …]``. A question instead of a fact: whoever keeps explanations answers with a list
#: of ``Evidence``, because the registry may not ask an upper app.
evidence_asked = Signal()


@dataclass(frozen=True, slots=True)
class Evidence:
    """The newest finished explanation of a version by one method. ``standing`` says whether it passed its quality rules
    (``evidence``) or not (``draft``); ``digest`` is its receipt's."""

    version: str
    name: str
    method: str
    standing: str
    digest: str
    finished: datetime
    address: str
