"""A freeze and a deploy at the same moment: no version goes on record as serving after the freeze that forbids it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from django.db import connection

from audit.actors import Actor
from governance import decisions, gate, rollouts
from governance.facts import Case
from registry import incidents
from registry.models import Incident, IncidentState, ModelVersion
from tests.governance import scene
from tests.governance.scene import Bank


@pytest.fixture
def real(committed_db: object) -> Bank:
    return scene.build()


def _freeze(reference: str, by: Actor) -> None:
    try:
        incidents.freeze(reference, reason="Nothing of it may ship.", by=by)
    finally:
        connection.close()


def _permitted(bank: Bank, version: ModelVersion) -> tuple[str, str]:
    """The decision's number and the permit's secret."""
    scene.approved(bank, version=version)
    answer = gate.check(version, bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    return answer.decision.public_id, answer.secret


def _deploy(number: str, secret: str) -> None:
    rollouts.record_deploy(number, secret=secret, environment="prod-uae", by=scene.actor("ci"))


def _waits_for_lock(thread: threading.Thread) -> bool:
    """Whether the freeze waits, as PostgreSQL says; False when it ended instead."""
    while thread.is_alive():
        with connection.cursor() as cursor:
            cursor.execute("SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)")
            if (cursor.fetchone() or (False,))[0]:
                return True
        thread.join(0.02)
    return False


@pytest.mark.parametrize("how", ["deploy", "rollback"])
def test_a_freeze_waits_for_a_deploy_that_was_decided_already(
    real: Bank, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if how == "rollback":
        for version in (real.old, real.new):
            _deploy(*_permitted(real, version))
    number, secret = ("", "") if how == "rollback" else _permitted(real, real.new)
    incident = incidents.open_incident(
        "Consent was withdrawn",
        root="dataset:loans-2026q3",
        since=datetime(2026, 1, 1, tzinfo=UTC),
        reason="Letter of 3 March.",
        by=scene.actor("omar"),
    )
    freezer = threading.Thread(target=_freeze, args=(incident.reference, scene.actor("omar")))
    waited: list[bool] = []
    truly = decisions.evaluate

    def then_freeze(case: Case, **more: Any) -> decisions.Verdict:
        verdict = truly(case, **more)
        if not waited and threading.current_thread() is threading.main_thread():
            freezer.start()
            waited.append(_waits_for_lock(freezer))
        return verdict

    monkeypatch.setattr(decisions, "evaluate", then_freeze)
    if how == "deploy":
        _deploy(number, secret)
    else:
        rollouts.record_rollback(real.old, real.uae, reason="x", incident="INC-1", by=scene.actor("ci"))
    freezer.join()
    assert waited == [True]
    assert Incident.objects.get().state == IncidentState.FROZEN
