"""What MLflow said; what changed there is read from MLflow and has its entries."""

from __future__ import annotations

from datetime import datetime

from django.db import models


class MLflowDelivery(models.Model):
    """One delivery of a webhook, kept so that a second one changes nothing. Not governed: it decides nothing."""

    delivery_id = models.CharField(max_length=100, primary_key=True)
    received = models.DateTimeField(auto_now_add=True, db_index=True)
    #: An import that began later has looked.
    taken = models.BooleanField(default=False)

    class Meta:
        db_table = "registry_mlflow_delivery"
        indexes = [
            models.Index(fields=["taken"], condition=models.Q(taken=False), name="registry_delivery_waiting"),
        ]

    def __str__(self) -> str:
        return self.delivery_id


class MLflowLook(models.Model):
    """An import that looked at MLflow, kept to tell whether a change was announced. Not governed: it decides nothing.

    ``since``: when the import before it began, which had seen everything until then; None for the first.
    """

    began = models.DateTimeField()
    ended = models.DateTimeField(auto_now_add=True)
    since = models.DateTimeField(null=True)
    found = models.PositiveIntegerField()

    class Meta:
        db_table = "registry_mlflow_look"
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.began:%Y-%m-%d %H:%M} {self.found}"

    @classmethod
    def keep(cls, began: datetime, *, found: int) -> MLflowLook:
        """Keep this look and, of those before it, the newest that found anything."""
        before = cls.objects.first()
        look = cls.objects.create(began=began, since=before.began if before else None, found=found)
        newest = cls.objects.filter(found__gt=0, since__isnull=False).values("pk")[:1]
        cls.objects.exclude(pk__in=newest).exclude(pk=look.pk).delete()
        return look
