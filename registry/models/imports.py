"""What the imports from tracking servers did."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class SourceImport(models.Model):
    """One import. Not governed: it decides nothing, and what it wrote has its own entries."""

    server = models.CharField(_("server"), max_length=64)
    address = models.CharField(_("address"), max_length=400)
    began = models.DateTimeField(_("began"))
    ended = models.DateTimeField(_("ended"))
    #: Why it did not get through; empty when it did.
    refusal = models.TextField(_("refusal"), blank=True)
    #: ``{"models": n, "versions": n, "unchanged": n, "aliases": n, "out_of_band": n, "problems": n}``.
    counts = models.JSONField(_("counts"))
    #: A sentence for each thing that it had to leave out.
    problems = models.JSONField(_("left out"))

    class Meta:
        db_table = "registry_source_import"
        ordering = ("-pk",)
        indexes = [models.Index(fields=["server", "-id"], name="registry_import_newest")]

    def __str__(self) -> str:
        return f"{self.server} {self.ended:%Y-%m-%d %H:%M:%S}"
