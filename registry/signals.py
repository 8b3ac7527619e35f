"""Facts that go up: the registry sends, an upper app connects in its ``AppConfig.ready()``.

Each is sent inside the transaction of the change, after the entry was appended: a receiver's refusal undoes both.
"""

from __future__ import annotations

from django.dispatch import Signal

#: ``version: ModelVersion, by: Actor``
version_registered = Signal()
#: ``deployment: Deployment, by: Actor``; also for rollbacks, see ``deployment.kind``.
deployment_recorded = Signal()
#: ``alias: Alias, was: ModelVersion | None, by: Actor``
alias_moved = Signal()
#: ``dataset: Dataset, by: Actor``; registered or changed.
dataset_changed = Signal()
