"""Try a pack on the past and on what serves now, before it can block the future.

A worker does it (the database is the queue that counts, the broker only says that there is work); nothing that it finds
changes a decision or a deployment. The finished result is attached to the pack's activation.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from celery import current_app
from django.db import DatabaseError, transaction
from django.db.models import Max
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit import log
from audit.actors import Actor
from audit.advisory import claimed
from audit.lifecycle import Lifecycle
from audit.models.events import Event
from audit.refusals import NotKnown
from governance import facts as collecting
from governance import policies
from governance.facts import Case
from governance.models.backtest import Backtest, BacktestProgress, BacktestState
from governance.models.decision import Action, Decision
from governance.models.policy import PolicyPack
from governance.policies import backtest as core
from governance.policies.facts import digest_of
from registry.models import Deployment

FORMAT = "countersign-backtest/1"
#: Who tries packs.
TESTER = Actor.system("backtester")
RUN = "governance.run_backtest"
#: Flips that are listed one by one; all of them are counted.
LISTED = 10_000
#: Decisions that one query brings.
_CHUNK = 500
#: First key of the advisory locks that say which back-test a living worker holds («back» in ASCII).
_LOCK_CLASS = int.from_bytes(b"back")

BACKTESTS = Lifecycle(
    field="state",
    transitions={
        (BacktestState.REQUESTED.value, BacktestState.FINISHED.value): Event.BACKTEST_FINISHED,
        (BacktestState.REQUESTED.value, BacktestState.FAILED.value): Event.BACKTEST_FAILED,
    },
)
logger = logging.getLogger(__name__)


@transaction.atomic
def request(slug: str, version: int, *, by: Actor) -> Backtest:
    """Ask for a back-test of a stored version of a pack; a worker does it after this transaction.

    Raises ``NotKnown`` for a version that is not stored.
    """
    pack = PolicyPack.objects.filter(slug=slug, version=version).first()
    if pack is None:
        raise NotKnown(
            _("There is no version %(version)d of the pack %(pack)s.") % {"version": version, "pack": slug},
            code="pack.unknown",
        )
    newest = Decision.objects.aggregate(newest=Max("pk"))["newest"] or 0
    row = Backtest.objects.create(pack=pack, through=newest, requested_by=by.id, requested=timezone.now())
    log.append(Event.BACKTEST_REQUESTED, row, facts={"backtest": row.pk, "digest": pack.digest}, by=by)
    transaction.on_commit(lambda: enqueue(row.pk) and None)
    return row


def enqueue(number: int) -> bool:
    """Tell a worker; False when the broker cannot be reached: ``redeliver`` tells it again."""
    try:
        current_app.send_task(RUN, args=[number], expires=600, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take back-test %s, it will be sent again: %s", number, error)
        return False
    return True


def redeliver() -> int:
    """Send every back-test that waits; a worker that holds one already ignores it. Returns how many were taken."""
    waiting = Backtest.objects.filter(state=BacktestState.REQUESTED).order_by("id").values_list("id", flat=True)
    return sum(enqueue(number) for number in waiting)


def perform(number: int, *, by: Actor = TESTER) -> str:
    """Do a back-test that waits, unless a living worker does it already. Returns its state."""
    with claimed(_LOCK_CLASS, number) as mine:
        rows = Backtest.objects.select_related("pack").filter(pk=number, state=BacktestState.REQUESTED)
        row = rows.first() if mine else None
        if row is None:
            return "ignored"
        try:
            draft = policies.compile_pack(row.pack.text)
            result = run(draft, through=row.through, progress=lambda done, total: _note(row, done, total))
        except policies.PackError as error:
            _end(row, BacktestState.FAILED, {"error": str(error)}, by)
        except DatabaseError:
            raise  # it stays requested, and is sent again
        except Exception as error:
            logger.exception("back-test %s failed", number)
            _end(row, BacktestState.FAILED, {"error": f"{type(error).__name__}: {error}"[:2000]}, by)
        else:
            digest = digest_of(result)
            _end(row, BacktestState.FINISHED, {"result": result, "result_digest": digest}, by)
        return str(row.state)


def run(draft: policies.CompiledPack, *, through: int, progress: Callable[[int, int], None]) -> dict[str, Any]:
    """The whole back-test: every decision up to ``through``, then every deployment that is open. Writes nothing."""
    serving = list(_open_deployments())
    rows = Decision.objects.filter(pk__lte=through).order_by("pk")
    total, done = rows.count() + len(serving), 0
    outcomes: Counter[str] = Counter()
    flips: list[dict[str, Any]] = []
    left_out: list[dict[str, str]] = []
    live_decisions = {row.decision_id for row in serving}
    for stored, about in _stored(through):
        done += 1
        if done % _CHUNK == 0:
            progress(done, total)
        if isinstance(stored, str):
            left_out.append({**about, "why": stored})
            continue
        try:
            flip = core.flipped(stored, draft)
        except policies.MissingFact as missing:
            left_out.append({**about, "why": missing.sentence})
            continue
        outcomes[f"{stored.outcome} {flip.now if flip else stored.outcome}"] += 1
        if flip is not None:
            serves = stored.id in live_decisions
            flips.append({**about, "then": flip.then, "now": flip.now, "rules": list(flip.rules), "serves": serves})
    live = [_tried(row, draft) for row in serving]
    progress(total, total)
    return {
        "format": FORMAT,
        "pack": {"pack": draft.id, "version": draft.version, "digest": draft.digest},
        "through": through,
        "decisions": {"looked_at": done, "outcomes": dict(sorted(outcomes.items())), "flips": len(flips)},
        "flips": flips[:LISTED],
        "flips_digest": digest_of({"flips": flips}),
        "left_out": {"count": len(left_out), "first": left_out[:100]},
        "live": {"looked_at": len(live), "deployments": [each for each in live if each["now"] != "allow"]},
    }


def _stored(through: int) -> Iterator[tuple[core.Stored | str, dict[str, str]]]:
    """Every decision in order with what it is about; a sentence instead of one that cannot be made again."""
    compiled: dict[str, policies.CompiledPack | None] = {}
    fields = ("public_id", "outcome", "facts", "facts_digest", "inputs", "packs", "version__number")
    rows = Decision.objects.filter(pk__lte=through).order_by("pk")
    for row in rows.values(*fields, "version__model__name", "environment__slug").iterator(chunk_size=_CHUNK):
        label = f"{row['version__model__name']}/{row['version__number']}"
        about = {"decision": row["public_id"], "version": label, "environment": row["environment__slug"]}
        if not row["facts"] or not row["inputs"]:
            yield _("It holds no facts or no signatures to decide on."), about
            continue
        packs = [_compiled(pack["digest"], compiled) for pack in row["packs"]]
        whole = tuple(pack for pack in packs if pack is not None)
        if len(whole) != len(packs):
            yield _("A pack that decided it is not stored, or cannot be read any more."), about
            continue
        yield (
            core.Stored(row["public_id"], row["outcome"], row["facts"], row["facts_digest"], row["inputs"], whole),
            about,
        )


def _compiled(digest: str, known: dict[str, policies.CompiledPack | None]) -> policies.CompiledPack | None:
    if digest not in known:
        text = PolicyPack.objects.filter(digest=digest).values_list("text", flat=True).first()
        try:
            known[digest] = policies.compile_pack(text) if text is not None else None
        except policies.PackError:
            known[digest] = None
    return known[digest]


def _open_deployments() -> Iterator[Deployment]:
    rows = Deployment.objects.open().select_related("version__model", "environment", "model")
    yield from rows.order_by("environment__slug", "model__name", "pk")


def _tried(row: Deployment, draft: policies.CompiledPack) -> dict[str, Any]:
    """What serves, on the facts of now: by the packs in force, and with the draft among them. No signatures asked."""
    about = {"deployment": row.pk, "version": row.version.label, "environment": row.environment.slug}
    case = Case(row.version, row.environment, Action.RUN, {"strategy": row.strategy}, requested_by=TESTER.id)
    try:
        collected = collecting.collect(case, now=timezone.now().replace(microsecond=0))
    except (policies.MissingFact, policies.PackError) as error:
        return {**about, "today": "error", "now": "error", "rules": [], "why": str(error)[:500]}
    packs = core.with_draft(collected.packs, draft)
    today = policies.evaluate(collected.packs, collected.facts).word
    decided = policies.evaluate(packs, collected.facts)
    return {
        **about,
        "today": today,
        "now": decided.word,
        "rules": sorted({one.rule for one in decided.blocking}),
        "why": decided.summary,
    }


def _note(row: Backtest, done: int, total: int) -> None:
    BacktestProgress.objects.update_or_create(backtest=row, defaults={"done": done, "total": total})


def _end(row: Backtest, state: BacktestState, changes: dict[str, Any], by: Actor) -> None:
    facts: dict[str, Any] = {"backtest": row.pk, "digest": row.pack.digest}
    if state == BacktestState.FINISHED:
        row.result = changes["result"]
        facts |= {"result_digest": changes["result_digest"], **row.numbers}
    else:
        facts["error"] = changes["error"]
    with transaction.atomic():
        BACKTESTS.transition(row, state, facts=facts, changes={**changes, "ended": timezone.now()}, by=by)
        BacktestProgress.objects.filter(backtest=row).delete()
