"""Structured logs: one JSON object per line on standard error, each with the id of its request."""

from __future__ import annotations

import logging
from typing import Any

from audit.context import request_id


class RequestIdFilter(logging.Filter):
    """Adds ``request_id`` to every record: the same id that the answer and the log's entries carry."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.request_id = request_id.get() or getattr(getattr(record, "request", None), "request_id", None)
        return True


def logging_config(debug: bool) -> dict[str, Any]:
    """The ``LOGGING`` setting. ``debug`` lowers the level from INFO to DEBUG for Countersign's own loggers."""
    own = {"level": "DEBUG" if debug else "INFO"}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "filters": {"request_id": {"()": "config.logs.RequestIdFilter"}},
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "{asctime}{levelname}{name}{message}{request_id}",
                "style": "{",
                "rename_fields": {"asctime": "at", "levelname": "level", "name": "logger"},
                "datefmt": "%Y-%m-%dT%H:%M:%S%z",
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["request_id"]},
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {
            "config": own,
            "governance": own,
            "explain": own,
            "registry": own,
            "audit": own,
            "celery": {"level": "INFO"},
            "django": {"level": "INFO", "handlers": ["stderr"], "propagate": False},
            # every 4xx would be a warning: the metrics count them, and refusals that matter are entries
            "django.request": {"level": "ERROR", "handlers": ["stderr"], "propagate": False},
        },
    }
