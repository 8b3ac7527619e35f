"""Data sets with what the law asks about them: whose data, how sensitive, and where the bytes are."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils.translation import gettext_lazy as _

from audit.models.governed import Governed
from registry.models.environments import Perimeter
from registry.models.versions import NAME_PATTERN


class Classification(models.TextChoices):
    """How personal the data are. ``unknown`` counts as personal everywhere: a gate never passes on it."""

    PERSONAL = "personal", _("Personal")
    SENSITIVE = "sensitive", _("Sensitive personal (PDPL article 1(11))")
    SPECIAL = "special", _("Special category (GDPR article 9)")
    NONE = "none", _("Not personal")
    UNKNOWN = "unknown", _("Unknown")


class LawfulBasis(models.TextChoices):
    """Why the data may be processed: the six of GDPR article 6(1), to which the Gulf laws' own lists map."""

    CONSENT = "consent", _("Consent (a)")
    CONTRACT = "contract", _("Contract (b)")
    LEGAL_OBLIGATION = "legal_obligation", _("Legal obligation (c)")
    VITAL_INTERESTS = "vital_interests", _("Vital interests (d)")
    PUBLIC_TASK = "public_task", _("Public task (e)")
    LEGITIMATE_INTERESTS = "legitimate_interests", _("Legitimate interests (f)")


#: What a residency gate reads. While one is unknown every gate denies.
GATE_FACTS = ("classification", "subjects", "regions")
#: Every fact that is first claimed and then may be confirmed.
FACTS = (*GATE_FACTS, "owner", "perimeter", "lawful_basis", "retention", "provenance")


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
    owner = models.CharField(_("owner"), max_length=200, blank=True, default="")
    #: Which law governs the data where they were gathered; never derived from a region. Empty means unknown.
    perimeter = models.CharField(_("perimeter"), max_length=16, choices=Perimeter.choices, blank=True, default="")
    lawful_basis = models.CharField(
        _("lawful basis"), max_length=24, choices=LawfulBasis.choices, blank=True, default=""
    )
    retention = models.CharField(_("retention"), max_length=400, blank=True, default="")
    provenance = models.TextField(_("provenance"), blank=True, default="")
    #: Which of ``FACTS`` a person confirmed; every other one is a claim of a tag, an event or a pipeline.
    confirmed_facts = ArrayField(models.CharField(max_length=32), verbose_name=_("confirmed"), blank=True, default=list)
    #: True when everything that a gate reads is confirmed (a constraint holds it to ``confirmed_facts``).
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
            models.CheckConstraint(
                condition=Q(perimeter="") | Q(perimeter__in=Perimeter.values), name="registry_dataset_perimeter"
            ),
            models.CheckConstraint(
                condition=Q(lawful_basis="") | Q(lawful_basis__in=LawfulBasis.values), name="registry_dataset_basis"
            ),
            models.CheckConstraint(
                condition=Q(confirmed_facts__contained_by=list(FACTS)), name="registry_dataset_confirmed_facts"
            ),
            models.CheckConstraint(
                condition=Q(confirmed=True, confirmed_facts__contains=list(GATE_FACTS))
                | (Q(confirmed=False) & ~Q(confirmed_facts__contains=list(GATE_FACTS))),
                name="registry_dataset_confirmed",
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

    @classmethod
    def word_for(cls, fact: str) -> str:
        """What a person calls one of ``FACTS``."""
        field: Any = cls._meta.get_field(fact)
        return str(field.verbose_name)

    def says(self, fact: str) -> bool:
        """Whether anything is said about one of ``FACTS``. People need not be named for data that are not personal."""
        if fact in GATE_FACTS:
            return fact not in self.unknown_facts
        return bool(getattr(self, fact))

    @property
    def unsaid_facts(self) -> tuple[str, ...]:
        """Every one of ``FACTS`` that nobody has given; of personal data a lawful basis is expected."""
        return tuple(
            fact for fact in FACTS if not self.says(fact) and not (fact == "lawful_basis" and not self.is_personal)
        )

    def get_absolute_url(self) -> str:
        return reverse("registry:dataset", args=[self.name])
