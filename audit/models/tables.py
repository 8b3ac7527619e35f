"""The tables of the log for reading. Django neither creates nor flushes them: they belong to another database role."""

from __future__ import annotations

from django.db import models


class Log(models.Model):
    """A log: its origin is the name under which checkpoints are signed."""

    log_id = models.IntegerField(primary_key=True)
    tenant_id = models.UUIDField(null=True)
    origin = models.TextField(unique=True)
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."log"'

    def __str__(self) -> str:
        return self.origin


class Key(models.Model):
    """A public key of a log in the form ``name+keyid+base64`` (C2SP signed-note)."""

    pk = models.CompositePrimaryKey("log_id", "vkey")
    log_id = models.IntegerField()
    vkey = models.TextField()
    from_size = models.BigIntegerField()
    event_id = models.UUIDField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."key"'

    def __str__(self) -> str:
        return self.vkey


class Checkpoint(models.Model):
    """A signed tree head: size, root and the note with its signatures."""

    pk = models.CompositePrimaryKey("log_id", "size")
    log_id = models.IntegerField()
    size = models.BigIntegerField()
    root = models.BinaryField()
    note = models.TextField()
    created_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."checkpoint"'

    def __str__(self) -> str:
        return f"{self.log_id}@{self.size}"


class SelfCheck(models.Model):
    """What one verification found."""

    id = models.BigAutoField(primary_key=True)
    log_id = models.IntegerField()
    source = models.TextField()
    outcome = models.TextField()
    size = models.BigIntegerField()
    root = models.TextField()
    finding = models.TextField()
    steps = models.JSONField()
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()

    class Meta:
        managed = False
        db_table = '"audit"."self_check"'

    def __str__(self) -> str:
        return f"{self.outcome} at {self.size}"
