"""Where a question about reach begins: a subject, a whole model, or every data set and place in a region."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import Q
from django.utils.translation import gettext as _

from audit.refusals import BadInput, NotKnown
from registry import regions
from registry.lineage import reach
from registry.models import Dataset, Environment, Model, ModelVersion, Run
from registry.versions import find_model

#: What can be asked about. A library's digest is none of them: the registry does not record dependencies.
KINDS = ("dataset", "run", "version", "model", "region")


@dataclass(frozen=True, slots=True)
class Roots:
    """``nodes`` are where the lineage is entered; ``environments`` lie in the region that was asked about."""

    subject: str
    nodes: tuple[str, ...]
    environments: tuple[Environment, ...] = ()


def of(subject: str) -> Roots:
    """What ``subject`` stands for in the lineage. Two queries at most.

    Raises ``BadInput`` for a kind that cannot be asked about, ``NotKnown`` for what the registry does not have.
    """
    kind, _colon, name = subject.partition(":")
    if kind not in KINDS or not name or "\0" in name:
        sentence = _("Name what it is about as %(kinds)s, for example dataset:loans-2026q3.") % {
            "kinds": ", ".join(f"{each}:…" for each in KINDS)
        }
        raise BadInput(sentence, code="reach.subject", fields={"subject": sentence})
    if kind == "region":
        return _region(subject, name)
    if kind == "model":
        model = find_model(name)
        return Roots(subject, tuple(_versions(model)))
    if not _known(kind, name):
        raise NotKnown(_("The registry knows no “%(subject)s”.") % {"subject": subject[:200]}, code="reach.unknown")
    return Roots(subject, (subject,))


def reached(found: Roots) -> list[str]:
    """Every subject downstream of the roots, themselves included. One query; none without roots."""
    return reach.nodes_reached(found.nodes, "downstream") if found.nodes else []


def _versions(model: Model) -> Sequence[str]:
    numbers = ModelVersion.objects.filter(model=model).order_by("number").values_list("number", flat=True)
    return [f"version:{model.name}/{number}" for number in numbers]


def _known(kind: str, name: str) -> bool:
    if kind == "dataset":
        return Dataset.objects.filter(name=name).exists()
    if kind == "run":
        return Run.objects.filter(run_id=name).exists()
    model, _slash, number = name.rpartition("/")
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return False
    return ModelVersion.objects.filter(model__name=model, number=int(number)).exists()


def _region(subject: str, name: str) -> Roots:
    """Data sets that lie there, and environments that serve or log there. One in use counts, known or not."""
    nodes = tuple(f"dataset:{each}" for each in _datasets(name))
    environments = tuple(Environment.objects.filter(Q(regions__contains=[name]) | Q(log_sinks__contains=[name])))
    if not nodes and not environments:
        try:
            regions.lookup(name)
        except BadInput as refusal:
            raise NotKnown(refusal.sentence, code="region.unknown") from None
    return Roots(subject, nodes, environments)


def _datasets(region: str) -> Sequence[str]:
    return list(Dataset.objects.filter(regions__contains=[region]).order_by("name").values_list("name", flat=True))
