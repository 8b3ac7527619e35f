"""The same three columns under five regimes."""

from __future__ import annotations

import pghistory
from auditlog.registry import auditlog
from django.db import models
from simple_history.models import HistoricalRecords

from audit.models.governed import Governed


class Columns(models.Model):
    """What a small business row has."""

    name = models.CharField(max_length=100)
    state = models.CharField(max_length=20)
    share = models.IntegerField()

    class Meta:
        abstract = True

    def __str__(self) -> str:
        return self.name


class PlainRow(Columns):
    """No history."""


class GovernedRow(Governed, Columns):
    """Ours: no COMMIT without an entry."""

    @property
    def subject(self) -> str:
        """As a deployment is called."""
        return f"deployment:{self.pk}"


class SimpleHistoryRow(Columns):
    """django-simple-history."""

    history = HistoricalRecords()


class AuditlogRow(Columns):
    """django-auditlog."""


auditlog.register(AuditlogRow)


@pghistory.track()
class PghistoryRow(Columns):
    """django-pghistory: database triggers."""
