"""Data sets with what the law asks about them: whose data, how sensitive, and where the bytes are."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models.versions import NAME_PATTERN


class Classification(models.TextChoices):
    """How personal the data are. ``unknown`` counts as personal everywhere: a gate never passes on it."""

    PERSONAL = "personal", _("Personal")
    SENSITIVE = "sensitive", _("Sensitive personal (PDPL article 1(11))")
    SPECIAL = "special", _("Special category (GDPR article 9)")
    NONE = "none", _("Not personal")
    UNKNOWN = "unknown", _("Unknown")


class Dataset(Governed):
    """A data set as training used it."""

    name = models.CharField(_("name"), max_length=128, unique=True)
    #: As the source reports it (MLflow's data-set digest is 8 hexadecimal digits), or ``sha256:…``; empty when unknown.
    digest = models.CharField(_("digest"), max_length=128, blank=True)
    classification = models.CharField(_("classification"), max_length=16, choices=Classification.choices)
    #: Jurisdictions of the people in it, see ``registry.jurisdictions``. Empty means unknown.
    subjects = ArrayField(models.CharField(max_length=16), verbose_name=_("data subjects in"), blank=True)
    #: ``provider:region`` of every copy. Empty means unknown.
    regions = ArrayField(models.CharField(max_length=64), verbose_name=_("regions"), blank=True)
    source_uri = models.CharField(_("source"), max_length=1000, blank=True)
    #: Who says so: ``claimed`` (a tag of the tracking server) or ``confirmed`` (an operator).
    confirmed = models.BooleanField(_("confirmed by an operator"), default=False)
    created = models.DateTimeField(_("registered"), auto_now_add=True)

    class Meta:
        ordering = ("name",)
        verbose_name = _("data set")
        verbose_name_plural = _("data sets")
        constraints = [
            models.CheckConstraint(condition=Q(name__regex=NAME_PATTERN), name="registry_dataset_name"),
            models.CheckConstraint(
                condition=Q(classification__in=Classification.values), name="registry_dataset_classification"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> str:
        return f"dataset:{self.name}"

    @property
    def is_personal(self) -> bool:
        """True unless somebody said that it is not: unknown is personal."""
        return self.classification != Classification.NONE

    @property
    def unknown_facts(self) -> tuple[str, ...]:
        """Names of the facts that a gate needs and nobody has given: any of them denies."""
        missing = []
        if self.classification == Classification.UNKNOWN:
            missing.append("classification")
        if not self.regions:
            missing.append("regions")
        if self.is_personal and not self.subjects:
            missing.append("subjects")
        return tuple(missing)

    def get_absolute_url(self) -> str:
        return reverse("registry:dataset", args=[self.name])
