"""Where a question about reach begins: a subject, a whole model, what a region holds, or what needs a library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Q
from django.utils.translation import gettext as _

from audit.refusals import BadInput, NotKnown
from registry import dependencies, regions
from registry.dependencies import Library
from registry.lineage import reach
from registry.models import Dataset, Environment, Model, ModelVersion, Run
from registry.versions import find_model

#: What can be asked about.
KINDS = ("dataset", "run", "version", "model", "region", "library")

_NEEDS = """
SELECT m.name, v.number, v.dependencies::text FROM registry_modelversion v JOIN registry_model m ON m.id = v.model_id
WHERE v.dependencies @> %(given)s::jsonb OR v.dependencies IS NULL
   OR (%(by_digest)s AND v.dependencies @? '$[*] ? (@.hashes.size() == 0)')
ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class Roots:
    """``nodes`` are where the lineage is entered; ``environments`` lie in the region that was asked about.

    ``unsaid`` are versions of which nobody said what they need: they may need the library that was asked about.
    """

    subject: str
    nodes: tuple[str, ...]
    environments: tuple[Environment, ...] = ()
    unsaid: tuple[str, ...] = ()


def of(subject: str) -> Roots:
    """What ``subject`` stands for in the lineage. Two queries at most.

    A library that nobody is known to need stands for no version: it may still be needed by the ``unsaid``.

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
    if kind == "library":
        return _library(subject, dependencies.library(name))
    if kind == "model":
        model = find_model(name)
        return Roots(subject, tuple(_versions(model)))
    if not _known(kind, name):
        raise NotKnown(_("The registry knows no “%(subject)s”.") % {"subject": subject[:200]}, code="reach.unknown")
    return Roots(subject, (subject,))


def reached(found: Roots) -> list[str]:
    """Every subject downstream of the roots, themselves included. One query; none without roots."""
    return reach.nodes_reached(found.nodes, "downstream") if found.nodes else []


def held(found: Roots) -> list[str]:
    """What a freeze holds, sorted: the versions that are reached, and those that may be because nobody can say."""
    nodes = (*found.nodes, *found.unsaid)
    subjects = reach.nodes_reached(nodes, "downstream") if nodes else []
    return sorted(node for node in subjects if node.startswith("version:"))


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


def _library(subject: str, wanted: Library) -> Roots:
    """Versions whose list of requirements names it, and those whose list does not say. One query."""
    given = {"hashes": [wanted.digest]} if wanted.digest else {"name": wanted.name}
    with connection.cursor() as cursor:
        cursor.execute(_NEEDS, {"given": json.dumps([given]), "by_digest": bool(wanted.digest)})
        needs = {f"version:{name}/{number}": json.loads(text) if text else None for name, number, text in cursor}
    nodes = tuple(node for node, listed in needs.items() if listed is not None and wanted.needed_by(listed))
    known = frozenset(nodes)
    unsaid = tuple(node for node, listed in needs.items() if node not in known and wanted.unsaid_by(listed))
    return Roots(subject, nodes, unsaid=unsaid)


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
