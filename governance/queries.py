"""Read models for governance's pages and API. Nothing here writes."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import OuterRef, Prefetch, QuerySet, Subquery
from django.utils import timezone

from governance.models.decision import Action, Decision, Outcome
from governance.models.policy import PackState, PolicyPack
from governance.models.promotion import Promotion, PromotionState
from governance.models.signoff import SignOff
from governance.models.user import User
from governance.models.waiver import Waiver

#: Decisions that say whether a promotion may go ahead; the others are about what already serves.
DECIDING = (Action.PROMOTE, Action.DEPLOY)


def promotions(*, state: str = "", model: str = "") -> QuerySet[Promotion]:
    """Promotions with version, model and environment, newest first."""
    rows = Promotion.objects.select_related("version__model", "environment")
    if state:
        rows = rows.filter(state=state)
    if model:
        rows = rows.filter(version__model__name=model)
    return rows.order_by("-id")


def promotion(number: int) -> Promotion | None:
    """One promotion with its sign-offs in order: two queries."""
    signed = SignOff.objects.select_related("decision_seen", "retraction", "delegation", "personal__factor")
    return (
        Promotion.objects.select_related("version__model", "environment")
        .prefetch_related(Prefetch("signoffs", queryset=signed))
        .filter(pk=number)
        .first()
    )


def deciding_decision(of: Promotion) -> Decision | None:
    """The newest decision on whether it may go ahead."""
    return of.decisions.filter(action__in=DECIDING).order_by("-id").first()


def decision(public_id: str) -> Decision | None:
    """One decision by its public id, with what it is about."""
    return (
        Decision.objects.select_related("version__model", "environment", "promotion")
        .filter(public_id=public_id)
        .first()
    )


def promotions_of(version_id: int) -> QuerySet[Promotion]:
    """All promotions of one version, newest first."""
    return Promotion.objects.select_related("version__model", "environment").filter(version_id=version_id)


def blocked_promotions(limit: int = 20) -> list[Promotion]:
    """Promotions that the rules deny now, newest first, each with the ``findings`` of its newest decision."""
    newest = Decision.objects.filter(promotion=OuterRef("pk"), action__in=DECIDING).order_by("-id")
    rows = (
        promotions(state=PromotionState.BLOCKED)
        .select_related("version__model", "environment", "decided_by")
        .annotate(findings=Subquery(newest.values("findings")[:1]))
        .order_by("-id")
    )
    return list(rows[:limit])


def denied_checks(limit: int = 10) -> list[Decision]:
    """The newest denials and undecidable checks that belong to no promotion: what pipelines ran into."""
    return list(
        Decision.objects.filter(outcome__in=(Outcome.DENY, Outcome.ERROR), promotion__isnull=True)
        .select_related("version__model", "environment")
        .defer("facts", "subject_parts", "findings")
        .order_by("-id")[:limit]
    )


def names(actor_ids: Iterable[str]) -> dict[str, str]:
    """Display names by actor id; a process is named by itself, an unknown account by its id. One query."""
    ids = {each for each in actor_ids if each}
    uuids = [each.partition(":")[2] for each in ids if each.startswith(("user:", "service:"))]
    found = {str(uuid): name for uuid, name in User.objects.filter(uuid__in=uuids).values_list("uuid", "display_name")}
    return {each: found.get(each.partition(":")[2], each.partition(":")[2] or each) for each in ids}


def holders(roles: Iterable[str]) -> dict[str, list[str]]:
    """Who can supply what is missing: role -> names of the active people who hold it. One query."""
    wanted = set(roles)
    people = User.objects.active().people().filter(roles__overlap=sorted(wanted)).order_by("display_name")
    return {role: [user.display_name for user in people if role in user.roles] for role in sorted(wanted)}


def waivers(references: Iterable[str]) -> dict[str, Waiver]:
    """Those with these references. One query, none for no reference."""
    wanted = set(references)
    return {row.reference: row for row in Waiver.objects.filter(reference__in=wanted)} if wanted else {}


def packs() -> list[PolicyPack]:
    """Every version of every pack, the active one of each first."""
    rows = as_they_stand(PolicyPack.objects.defer("text").order_by("slug", "-version"))
    return sorted(rows, key=lambda row: (row.slug, row.state != PackState.ACTIVE, -row.version))


def pack_versions(slug: str) -> list[PolicyPack]:
    """The versions of one pack, newest first, in the states of now."""
    return as_they_stand(PolicyPack.objects.filter(slug=slug).order_by("-version"))


def as_they_stand(rows: Iterable[PolicyPack]) -> list[PolicyPack]:
    """``rows`` in the states of this moment: one whose instant came is active, though nobody noted it yet, and the one
    that it replaced is retired. For reading: what is stored stays as it is.
    """
    found, now = list(rows), timezone.now()
    came = {
        row.slug: row
        for row in found
        if row.state == PackState.SCHEDULED and row.activated_at is not None and row.activated_at <= now
    }
    for row in found:
        if came.get(row.slug) is row:
            row.state = PackState.ACTIVE
        elif row.slug in came and row.state == PackState.ACTIVE:
            row.state = PackState.RETIRED
    return found
