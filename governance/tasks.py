"""Work that the clock starts."""

from __future__ import annotations

from celery import shared_task

from governance import analysed, backtests, claims, emergency_clock, erasure, explained, packs, promotions, rechecks
from governance.api.idempotency import forget_outdated


@shared_task(name="governance.expire_promotions", ignore_result=True)  # type: ignore[untyped-decorator]
def expire_promotions() -> int:
    """Expire promotions past their deadline; safe to run twice or at the same time. Returns how many expired."""
    return len(promotions.expire_due(by=promotions.CLOCK))


@shared_task(name="governance.follow_up_safeguards", ignore_result=True)  # type: ignore[untyped-decorator]
def follow_up_safeguards() -> int:
    """Decide again what ended safeguards and waivers had let serve; safe to run twice or at the same time."""
    return len(rechecks.follow_up())


@shared_task(name="governance.follow_up_emergencies", ignore_result=True)  # type: ignore[untyped-decorator]
def follow_up_emergencies() -> int:
    """Note which emergencies are over, late with their review or replaced. The gate does not wait for it."""
    return emergency_clock.follow_up()


@shared_task(name="governance.lapse_claims", ignore_result=True)  # type: ignore[untyped-decorator]
def lapse_claims() -> int:
    """Note the permits that were used and to which no deployment was recorded in time; returns how many."""
    return claims.lapse_due()


@shared_task(name="governance.recheck_what_serves", ignore_result=True)  # type: ignore[untyped-decorator]
def recheck_what_serves() -> None:
    """Decide again everything that serves."""
    rechecks.recheck()


@shared_task(name="governance.settle_packs", ignore_result=True)  # type: ignore[untyped-decorator]
def settle_packs() -> int:
    """Note which scheduled policies are in force by now, and look at what serves when one is; returns how many."""
    settled = packs.settle_due()
    if settled:
        rechecks.recheck()
    return len(settled)


@shared_task(name="governance.forget_answers", ignore_result=True)  # type: ignore[untyped-decorator]
def forget_answers() -> None:
    """Drop answers that were kept for a repeated request and are older than seven days."""
    forget_outdated()


@shared_task(name="governance.check_explanations", ignore_result=True)  # type: ignore[untyped-decorator]
def check_explanations() -> int:
    """Withdraw evidence whose explanation no longer fits its receipt; returns how much. Safe to repeat."""
    return len(explained.withdraw_tampered()) + len(analysed.withdraw_tampered())


@shared_task(name="governance.finish_erasures", ignore_result=True)  # type: ignore[untyped-decorator]
def finish_erasures() -> int:
    """Carry out what was decided and interrupted; returns how many persons were left. Safe to repeat."""
    return erasure.finish()


@shared_task(name=backtests.RUN, acks_late=True, reject_on_worker_lost=True, ignore_result=True)  # type: ignore[untyped-decorator]
def run_backtest(number: int) -> str:
    """Try a pack on the past, unless a living worker does it already. Delivered twice, the second does nothing."""
    return backtests.perform(number)


@shared_task(name="governance.redeliver_backtests", ignore_result=True)  # type: ignore[untyped-decorator]
def redeliver_backtests() -> int:
    """Send every back-test that waits again: a message may be lost, the row is not."""
    return backtests.redeliver()
