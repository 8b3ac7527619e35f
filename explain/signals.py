"""Facts that go up: explain sends, an upper app connects in its ``AppConfig.ready()``."""

from __future__ import annotations

from django.dispatch import Signal

#: ``job: ExplanationJob, by: Actor``; sent inside the transaction that finished the job.
explanation_finished = Signal()
#: ``job: ExplanationJob, by: Actor``; sent inside the transaction that ended the job, however it ended.
explanation_ended = Signal()
#: ``analysis: Analysis, by: Actor``; sent inside the transaction that finished the analysis.
analysis_finished = Signal()
#: ``job: ExplanationJob, by: Actor``; sent inside the transaction that erased rows of the job.
explanation_erased = Signal()
