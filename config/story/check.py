"""Whether the demo story is whole: each line is one fact, looked up now."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.contrib.auth import get_user_model
from django.utils import timezone

from audit import queries as audit_queries
from audit.actors import Actor
from config.story.acts import ENVIRONMENTS, MODEL
from config.story.people import PEOPLE
from explain import receipts
from explain.models import ExplanationJob
from governance import replay
from governance.models.evidence import Evidence
from governance.models.promotion import Promotion, PromotionState
from governance.models.transfer import TransferSafeguard
from registry import deployments
from registry.models import Alias, Deployment, DeploymentKind, Environment, ModelVersion


def _serving(slug: str) -> list[int]:
    environment = Environment.objects.filter(slug=slug).first()
    return [each.version.number for each in deployments.serving(environment)] if environment else []


def _promotions(slug: str, state: str) -> int:
    return Promotion.objects.filter(environment__slug=slug, state=state, version__model__name=MODEL).count()


def _jobs(**conditions: object) -> int:
    return ExplanationJob.objects.filter(version__model__name=MODEL, state="finished", **conditions).count()


def _evidence(number: int) -> int:
    return Evidence.objects.filter(version__model__name=MODEL, version__number=number).count()


def _receipts_agree() -> bool:
    """Rows, results and receipts are those whose digests the log holds."""
    finished = ExplanationJob.objects.filter(version__model__name=MODEL, state="finished")
    return not any(receipts.problems(job) for job in finished)


def _people() -> bool:
    names = [person.username for person in PEOPLE]
    active: int = get_user_model().objects.filter(username__in=names, is_active=True).count()
    return active == len(names)


def _rolled_back() -> bool:
    return Deployment.objects.filter(kind=DeploymentKind.ROLLBACK, incident="INC-2041").exists()


def _expired_safeguard() -> bool:
    return TransferSafeguard.objects.filter(expires_at__lt=timezone.now()).exists()


def _alias_moved() -> bool:
    return Alias.objects.filter(model__name=MODEL, name="champion", version__number=3).exists()


def _decisions_replay() -> bool:
    """Every decision that rests on facts comes out with the digest that the log recorded."""
    same, wrong = replay.replay_all(by=Actor.system("demo-check"))
    return same > 0 and not wrong


FACTS: list[tuple[str, Callable[[], bool]]] = [
    ("every person of the story can sign in", _people),
    ("the four environments exist", lambda: Environment.objects.filter(slug__in=ENVIRONMENTS).count() == 4),
    ("three versions came from MLflow", lambda: ModelVersion.objects.filter(model__name=MODEL).count() >= 3),
    ("version 2 serves in prod-uae", lambda: _serving("prod-uae") == [2]),
    ("version 1 serves in prod-ksa again", lambda: _serving("prod-ksa") == [1]),
    ("the emergency rollback names its incident", _rolled_back),
    ("one promotion is blocked", lambda: _promotions("dr-frankfurt", PromotionState.BLOCKED) == 1),
    ("one promotion was signed and deployed", lambda: _promotions("prod-uae", PromotionState.DEPLOYED) >= 1),
    ("one promotion waits for a signature", lambda: _promotions("prod-uae", PromotionState.IN_REVIEW) == 1),
    ("version 3 has evidence on record", lambda: _evidence(3) == 3),
    ("one transfer safeguard has expired", _expired_safeguard),
    ("an alias was moved outside the ledger", _alias_moved),
    ("the SHAP job is finished and counts as evidence", lambda: _jobs(method="shap", standing="evidence") == 1),
    ("the LIME job is finished", lambda: _jobs(method="lime") == 1),
    ("what counts as evidence is on record for version 2", lambda: _evidence(2) == _jobs(standing="evidence")),
    ("every explanation still fits its receipt", _receipts_agree),
    ("every decision comes out the same again", _decisions_replay),
    ("the log holds the story", lambda: audit_queries.log_state().entries > 60),
]


def findings() -> Iterator[tuple[str, bool]]:
    """Each fact with whether it holds."""
    for sentence, holds in FACTS:
        yield sentence, holds()
