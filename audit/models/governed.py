"""The base of every table whose rows may only change together with an entry in the log."""

from __future__ import annotations

from django.db import connection, models


class Governed(models.Model):
    """A governed row: each INSERT, UPDATE and DELETE needs an entry with its ``object_key`` in the same transaction.

    The database enforces it at COMMIT (``audit.governance_of_tables.governed``), so ``QuerySet.update()``,
    ``bulk_create()`` and SQL by hand are held to it too. The primary key column must be called ``id``.
    """

    class Meta:
        abstract = True

    @property
    def subject(self) -> str:
        """The name that people and other systems use, for example ``version:credit-scoring/14``."""
        raise NotImplementedError(f"{type(self).__name__} must say what its subject is called")

    @property
    def about(self) -> dict[str, str]:
        """What people also look for it by, in every entry's facts: its ``version``, its ``environment``."""
        return {}

    @classmethod
    def next_number(cls) -> int:
        """The primary key for a row whose name holds it: never given twice, not even after a wipe."""
        with connection.cursor() as cursor:
            cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [cls._meta.db_table])
            return int(cursor.fetchone()[0])

    @property
    def object_key(self) -> str:
        """``<table>/<id>``: how the database matches the row with its entry. Append before deleting a row."""
        if self.pk is None:
            raise ValueError(f"save the {self._meta.verbose_name} before recording it")
        return f"{self._meta.db_table}/{self.pk}"
