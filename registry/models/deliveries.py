"""What MLflow said; what changed there is read from MLflow and has its entries."""

from __future__ import annotations

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
