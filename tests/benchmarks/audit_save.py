"""Django's ``save()`` with its entry against a plain ``save()``, one thread; other history packages stand beside it.

Every side runs in ``transaction.atomic()``, as the product's changes do. Half of the saves create, half update.
"""

from __future__ import annotations

import os

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.benchmarks.rivals.settings"

import random
import statistics
import time
from collections.abc import Callable

from tests.benchmarks._server import migrated_server  # sets Django up, so it comes first

# isort: split
from django.core.management import call_command
from django.db import transaction

import tests.benchmarks.rivals.models as rivals
from audit import log
from audit.actors import Actor
from audit.models.events import Event
from config.stack import database
from tests.conftest import use_database

GOAL = 0.75
ROUNDS = 11
SAVES = 150
PERSON = Actor("user:018f3c1e-0000-7000-8000-000000000001", "Layla Haddad", frozenset({"ml_lead"}))
PROCESS = Actor.system("mlflow-import")


def saves(model: type[rivals.Columns], by: Actor | None = None) -> float:
    """Saves per second; with ``by`` each is recorded in the log."""
    begin = time.perf_counter()
    for number in range(SAVES):
        with transaction.atomic():
            row = model(name=f"credit-scoring/{number}", state="serving", share=number)
            row.save()
            if by:
                _record(Event.DEPLOYMENT_RECORDED, row, {"share": number}, by)
        with transaction.atomic():
            row.share = number + 1
            row.save()
            if by:
                _record(Event.DEPLOYMENT_ENDED, row, {"before": {"share": number}, "after": {"share": number + 1}}, by)
    return 2 * SAVES / (time.perf_counter() - begin)


def _record(event: Event, row: rivals.Columns, facts: dict[str, object], by: Actor) -> None:
    assert isinstance(row, rivals.GovernedRow)
    log.append(event, row, facts=facts | {"environment": "prod-uae", "digest": "ab" * 32}, by=by)


SIDES: dict[str, Callable[[], float]] = {
    "plain": lambda: saves(rivals.PlainRow),
    "countersign (a process)": lambda: saves(rivals.GovernedRow, PROCESS),
    "countersign (a person)": lambda: saves(rivals.GovernedRow, PERSON),
    "pghistory": lambda: saves(rivals.PghistoryRow),
    "simple-history": lambda: saves(rivals.SimpleHistoryRow),
    "auditlog": lambda: saves(rivals.AuditlogRow),
}


def main() -> None:
    """Shuffled rounds; each side's ratio is the median of same-round ratios to the plain save."""
    with migrated_server("max_wal_size=4GB", "checkpoint_timeout=1h") as bench:
        use_database(bench.url(database.OWNER))
        call_command("migrate", run_syncdb=True, verbosity=0)
        call_command("pgtrigger", "install", verbosity=0)
        bench.execute("""
            CREATE CONSTRAINT TRIGGER governed_entry AFTER INSERT OR UPDATE OR DELETE ON rivals_governedrow
                DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION audit.require_entry();
            GRANT ALL ON ALL TABLES IN SCHEMA public TO countersign_app;
        """)
        use_database(bench.url())
        rates: dict[str, list[float]] = {name: [] for name in SIDES}
        for number in range(ROUNDS + 1):
            for name in random.sample(list(SIDES), len(SIDES)):
                rate = SIDES[name]()
                if number:  # the first round fills caches
                    rates[name].append(rate)
    ratios = {
        name: statistics.median(ours / plain for ours, plain in zip(found, rates["plain"], strict=True))
        for name, found in rates.items()
    }
    for name, found in rates.items():
        print(f"{name:24} {statistics.median(found):7.0f} saves/s   {ratios[name]:.2f}")
    print(f"audit_save ratio={ratios['countersign (a person)']:.2f} goal={GOAL}")


if __name__ == "__main__":
    main()
