"""What a policy says, for people: its rules in words, where it applies, and whom it blocks now.

Whom it blocks is told from stored decisions and findings; nothing is decided here, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from governance import gates, policies
from governance.models.decision import Decision
from governance.models.promotion import OPEN_STATES
from governance.policies.parts import Applies, Rule
from governance.queries import DECIDING
from registry.models import Deployment, Environment, Finding

#: Columns of a decision that the page does not show.
_LARGE = ("facts", "inputs", "subject_parts")
#: Rows that the page lists of each kind; more are counted.
SHOWN = 50
#: Conditions of the shipped packs in words. One of somebody's own pack is named by its name.
_CONDITIONS: dict[str, str | Promise] = {
    "in_region": gettext_lazy("lies in a region or country that is allowed"),
    "digest_known": gettext_lazy("the digest of the files is known"),
    "trainer_known": gettext_lazy("who trained it is known"),
    "trainers_are_people": gettext_lazy("everybody who trained it has an account"),
    "classified": gettext_lazy("has a classification"),
    "placed": gettext_lazy("lies in a region that is confirmed"),
    "people_known": gettext_lazy("it is known whose data they are"),
    "law_known": gettext_lazy("it is known under which law it was gathered"),
    "active": gettext_lazy("is active"),
    "not_expired": gettext_lazy("has not ended"),
    "covers_subject": gettext_lazy("covers the data or the place"),
    "covers_region": gettext_lazy("covers the region"),
    "type_allowed": gettext_lazy("is of a type that the law knows"),
    "made_under": gettext_lazy("was made under this law"),
    "cert_not_for_sensitive": gettext_lazy("is no certificate when the data are sensitive"),
    "risk_assessed": gettext_lazy("has a risk assessment"),
    "of_type": gettext_lazy("is of the type that is asked for"),
    "for_these_files": gettext_lazy("was made for exactly these files"),
    "for_this_place": gettext_lazy("is about this environment"),
    "valid_now": gettext_lazy("is valid now"),
    "independent": gettext_lazy("comes from somebody who did not train it"),
    "of_method": gettext_lazy("is by the method that is asked for"),
    "counts": gettext_lazy("counts as evidence"),
    "fresh": gettext_lazy("is fresh: nothing that it rests on changed"),
    "stable": gettext_lazy("is stable: another run would say the same"),
    "repeatable": gettext_lazy("can be run again"),
    "enough_rows": gettext_lazy("explains enough rows"),
    "recent": gettext_lazy("is at most half a year old"),
    "in_this_place": gettext_lazy("asked the model in this environment"),
}


@dataclass(frozen=True, slots=True)
class Requirement:
    """A rule in words. ``unless`` is what one safeguard has to be, ``needs`` what one piece of evidence, or one
    explanation, has to be."""

    rule: Rule
    require: tuple[str, ...]
    unless: tuple[str, ...]
    needs: tuple[str, ...]
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Where:
    """Where a pack applies: the environments of today, its limits, and environments that it names and nobody knows."""

    everywhere: bool
    tiers: tuple[str, ...]
    perimeters: tuple[str, ...]
    environments: tuple[Environment, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Blocked:
    """What a pack blocks now: a deployment that serves, or the promotion of ``decision``, which is the newest about it;
    None when only a later look at what serves found it."""

    why: str
    deployment: Deployment | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Blocking:
    """Whom a pack blocks: at most ``SHOWN`` of what serves and of the open promotions, and how many there are."""

    deployments: tuple[Blocked, ...]
    promotions: tuple[Blocked, ...]
    served: int
    waiting: int

    @property
    def more(self) -> int:
        """How many are not listed."""
        return self.served + self.waiting - len(self.deployments) - len(self.promotions)


def in_words(condition: str) -> str:
    """A named condition for people."""
    return str(_CONDITIONS.get(condition, condition.replace("_", " ")))


def requirements(pack: policies.CompiledPack) -> list[Requirement]:
    """The rules that are in force with the pack, in its order."""
    return [_requirement(one.rule) for one in pack.rules]


def switched_off(pack: policies.CompiledPack) -> list[Requirement]:
    """The rules that are there to be read only, each with what nobody has verified yet."""
    return [_requirement(one.rule, one.rule.unverified or pack.pack.unverified) for one in pack.disabled]


def _requirement(rule: Rule, why_not: str = "") -> Requirement:
    require, unless, needs = (
        tuple(in_words(name) for name, _text in part) for part in (rule.require, rule.unless, rule.needs)
    )
    return Requirement(rule, require, unless, needs, why_not)


def where(pack: policies.CompiledPack) -> Where:
    """Where the pack applies today. One query."""
    applies: Applies = pack.pack.applies
    known = list(Environment.objects.order_by("slug"))
    return Where(
        everywhere=applies == Applies(),
        tiers=applies.tiers,
        perimeters=applies.perimeters,
        environments=tuple(row for row in known if applies.to(_as_fact(row))),
        unknown=tuple(sorted(set(applies.environments) - {row.slug for row in known})),
    )


def _as_fact(row: Environment) -> Mapping[str, str]:
    return policies.EnvironmentFact(row.slug, row.tier, row.perimeter).values()


def blocked_by(slug: str) -> Blocking:
    """Whom the pack blocks by what is on record: the newest decision about what serves and about each open promotion,
    and what a later look at what serves found. Five queries, however much there is.
    """
    newest = Decision.objects.filter(version=OuterRef("version"), environment=OuterRef("environment")).order_by("-id")
    open_ones = Deployment.objects.open().annotate(newest=Subquery(newest.values("pk")[:1]))
    decision_of = dict(open_ones.values_list("pk", "newest"))
    denials = {row.pk: row for row in _denials(slug).filter(pk__in=set(decision_of.values()) - {None}).defer(*_LARGE)}
    said = {number: _why(denials[pk], slug) for number, pk in decision_of.items() if pk in denials}
    found = {number: Blocked(why, decision=denials[decision_of[number]]) for number, why in said.items() if why}
    for finding in Finding.objects.unlawful().filter(observed__pack=slug):
        kind, _colon, written = finding.concerns.partition(":")
        number = int(written) if kind == "deployment" and written.isdecimal() else 0
        if number in decision_of and number not in found:
            found[number] = Blocked(str(finding.observed.get("message", "")))
    numbers = sorted(found)[:SHOWN]
    rows = Deployment.objects.with_names().in_bulk(numbers)
    waiting = [(one, _why(one, slug)) for one in _waiting(slug)]
    promotions = tuple(Blocked(why, decision=one) for one, why in waiting if why)
    return Blocking(
        deployments=tuple(replace(found[number], deployment=rows[number]) for number in numbers),
        promotions=promotions[:SHOWN],
        served=len(found),
        waiting=len(promotions),
    )


def _waiting(slug: str) -> list[Decision]:
    """The newest deciding decisions of open promotions in which the pack blocks, newest first."""
    newer = Decision.objects.filter(promotion=OuterRef("promotion"), action__in=DECIDING).order_by("-id")
    rows = _denials(slug).filter(
        promotion__state__in=[state.value for state in OPEN_STATES],
        action__in=DECIDING,
        pk=Subquery(newer.values("pk")[:1]),
    )
    rows = rows.select_related("version__model", "environment").defer(*_LARGE)
    return list(rows.order_by("-id"))


def _denials(slug: str) -> QuerySet[Decision]:
    """Decisions with a finding of the pack that blocks: it failed and nobody waived it, or it gave no answer."""
    blocks = {"pack": slug, "severity": "block"}
    failed, undecided = [{**blocks, "outcome": "fail", "waived_by": ""}], [{**blocks, "outcome": "error"}]
    return Decision.objects.filter(Q(findings__contains=failed) | Q(findings__contains=undecided))


def _why(decision: Decision, slug: str) -> str:
    """The first thing that the pack says against it; empty when everything that it says was waived."""
    return gates.why_not([each for each in decision.findings if each["pack"] == slug and not each["waived_by"]])


def sentence(state: str, blocking: Blocking | None) -> str:
    """What the page concludes of a version that decides, or of one that does not."""
    if blocking is None:
        return {
            "draft": _("A draft: it decides nothing."),
            "scheduled": _("It waits for its instant and decides nothing before."),
            "retired": _("Retired: it decides nothing any more."),
        }.get(state, _("It decides nothing."))
    if not blocking.served + blocking.waiting:
        return _("In force, and it blocks nothing now.")
    served = ngettext("%(n)d deployment that serves", "%(n)d deployments that serve", blocking.served) % {
        "n": blocking.served
    }
    waiting = ngettext("%(n)d open promotion", "%(n)d open promotions", blocking.waiting) % {"n": blocking.waiting}
    return _("In force: it blocks %(served)s and %(waiting)s now.") % {"served": served, "waiting": waiting}
