"""What surrounds a change: the id of the request or task that caused it."""

from __future__ import annotations

from contextvars import ContextVar

#: Set by ``config.middleware`` for a request and by the Celery signal handlers for a task; copied into every entry.
request_id: ContextVar[str] = ContextVar("request_id", default="")
