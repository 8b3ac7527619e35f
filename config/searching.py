"""Find: pages, what the registry has, promotions, incidents, findings and entries of the log, for Ctrl K and the API.

By name, number, words of a title, beginning of a digest, MLflow run or request id. It asks at most one query for each
kind, whatever is found, and searches only what the person may read.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _

from audit import queries as log
from audit.refusals import BadInput
from config import navigation
from config.ui import subject_url
from governance.models import Promotion
from registry import finding_wording
from registry.models import Dataset, Environment, Finding, FindingKind, Incident, Model, ModelVersion

#: Results of each kind. Who needs more uses the filters of the kind's own page.
LIMIT = 6
MAX_QUERY = 200
_NUMBER = re.compile(r"#?(\d[\d,]{0,17})")
#: ``finding:12`` is its subject in the log.
_FINDING = re.compile(r"(?:finding\s*:?\s*)?" + _NUMBER.pattern, re.IGNORECASE)
_LABEL = re.compile(r"(?P<name>.+?)\s*(?:/|\s)\s*v?(?P<number>\d{1,9})")
_REQUEST_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+/=-]{7,127}", re.ASCII)
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{6,64})")
#: MLflow's runs have 32 hexadecimal digits; people copy the first eight.
_RUN = re.compile(r"[0-9a-f]{8,32}")


@dataclass(frozen=True, slots=True)
class Result:
    """One line: where it leads and what it says; ``state`` shows a tag."""

    url: str
    icon: str
    title: str
    note: str = ""
    state: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """The results of one kind: a word for programs, and one for people."""

    kind: str
    label: str | Promise
    results: tuple[Result, ...]


def _pages(text: str, user: Any) -> list[Result]:
    wanted = text.casefold()
    return [
        Result(page.url, page.icon, str(page.label), str(group.label))
        for group, page in navigation.pages()
        if page.url and wanted in f"{group.label} {page.label}".casefold()
    ]


def _models(text: str) -> list[Result]:
    rows = Model.objects.filter(Q(name__icontains=text) | Q(title__icontains=text)).order_by("name")[:LIMIT]
    return [Result(subject_url(row.subject), "box", row.name, row.title) for row in rows]


def _versions(text: str) -> list[Result]:
    condition = Q(model__name__icontains=text)
    if label := _LABEL.fullmatch(text):
        condition |= Q(model__name__icontains=label["name"], number=int(label["number"]))
    if digest := _DIGEST.fullmatch(text.lower()):
        condition |= Q(digest__startswith=f"sha256:{digest[1]}")
    condition |= Q(run_id__startswith=text.lower()) if _RUN.fullmatch(text.lower()) else Q(run_id=text)
    rows = ModelVersion.objects.filter(condition).select_related("model").order_by("model__name", "-number")[:LIMIT]
    return [Result(subject_url(row.subject), "box", row.label, row.digest[:19]) for row in rows]


def _datasets(text: str) -> list[Result]:
    condition = Q(name__icontains=text)
    if digest := _DIGEST.fullmatch(text.lower()):  # MLflow's digests of data sets have eight digits and no prefix
        condition |= Q(digest__startswith=digest[1]) | Q(digest__startswith=f"sha256:{digest[1]}")
    rows = Dataset.objects.filter(condition).order_by("name")[:LIMIT]
    return [Result(subject_url(row.subject), "database", row.name, row.get_classification_display()) for row in rows]


def _environments(text: str) -> list[Result]:
    rows = Environment.objects.filter(Q(slug__icontains=text) | Q(name__icontains=text)).order_by("slug")[:LIMIT]
    return [Result(subject_url(row.subject), "server", row.slug, row.name) for row in rows]


def _promotions(text: str) -> list[Result]:
    condition = Q(version__model__name__icontains=text) | Q(environment__slug__icontains=text)
    if number := _NUMBER.fullmatch(text):
        condition |= Q(pk=int(number[1].replace(",", "")))
    if label := _LABEL.fullmatch(text):
        condition |= Q(version__model__name__icontains=label["name"], version__number=int(label["number"]))
    rows = Promotion.objects.filter(condition).select_related("version__model", "environment").order_by("-pk")[:LIMIT]
    return [
        Result(
            reverse("governance:promotion", args=[row.pk]),
            "arrow-up-from-line",
            f"{row.version.label} → {row.environment.slug}",
            f"#{row.pk}",
            row.state,
        )
        for row in rows
    ]


def _incidents(text: str) -> list[Result]:
    titled = Q()
    for word in text.split():
        titled &= Q(title__icontains=word)
    rows = Incident.objects.defer("held").filter(
        titled | Q(reference__icontains=text.removeprefix("incident:")) | Q(root__icontains=text)
    )[:LIMIT]
    return [
        Result(subject_url(row.subject), "siren", f"{row.reference} {row.title}", row.root, row.state) for row in rows
    ]


def _findings(text: str) -> list[Result]:
    wanted = text.casefold()
    condition = Q(concerns__icontains=text) | Q(version__icontains=text)
    condition |= Q(kind__in=[kind for kind, label in FindingKind.choices if wanted in str(label).casefold()])
    if number := _FINDING.fullmatch(text):
        condition |= Q(pk=int(number[1].replace(",", "")))
    return [
        Result(
            subject_url(row.subject),
            "search-alert",
            f"{row.get_kind_display()}: {row.concerns}",
            _("Finding %(n)s") % {"n": row.pk},
            finding_wording.state_of(row),
        )
        for row in Finding.objects.filter(condition)[:LIMIT]
    ]


def _entries(text: str) -> list[Result]:
    if number := _NUMBER.fullmatch(text):
        index = int(number[1].replace(",", ""))
        rows = [row for row in log.search(before=index + 1, limit=1).rows if row.index == index]
    elif _REQUEST_ID.fullmatch(text):
        rows = log.search(log.Filters(request_id=text), limit=LIMIT).rows
    else:
        return []
    return [
        Result(
            reverse("audit:entry", args=[row.index]),
            "list-tree",
            f"#{row.index:,} {row.actor_name} {row.sentence}",
            row.subject,
        )
        for row in rows
        if row.index is not None
    ]


#: What is searched, in the order shown: its name, the action that it needs, and how.
_KINDS: tuple[tuple[str, str, Callable[[str], list[Result]]], ...] = (
    ("models", "registry.read", _models),
    ("versions", "registry.read", _versions),
    ("datasets", "registry.read", _datasets),
    ("environments", "registry.read", _environments),
    ("promotions", "promotion.read", _promotions),
    ("incidents", "registry.read", _incidents),
    ("findings", "registry.read", _findings),
    ("entries", "audit.read", _entries),
)


def _labels() -> dict[str, str]:
    return {
        "models": _("Models"),
        "versions": _("Versions"),
        "datasets": _("Data sets"),
        "environments": _("Environments"),
        "promotions": _("Promotions"),
        "incidents": _("Incidents"),
        "findings": _("Findings"),
        "entries": _("Entries of the log"),
    }


def search(text: str, user: Any) -> list[Group]:
    """What ``user`` may read and ``text`` names, by kind. Without a text: the pages.

    Raises ``BadInput`` for a text that is longer than ``MAX_QUERY``.
    """
    text = " ".join(text.split())
    if len(text) > MAX_QUERY:
        raise BadInput(_("Search for at most %d characters.") % MAX_QUERY, code="find.too_long")
    groups = [Group("pages", _("Pages"), tuple(_pages(text, user)))]
    if text:
        labels = _labels()
        groups += [
            Group(kind, labels[kind], tuple(find(text))) for kind, action, find in _KINDS if user.has_perm(action)
        ]
    return [group for group in groups if group.results]
