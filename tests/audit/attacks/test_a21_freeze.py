"""A21: somebody goes on showing an old, valid checkpoint."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.conf import settings as configured
from django.test import Client

from audit.log import log_id
from audit.merkle.checkpoint import verify
from audit.merkle.policy import Policy
from audit.publisher import Publisher
from audit.signer import Signer
from audit.witnesses import freshness
from audit.witnesses.client import KnowsAnotherSize, Request, Target, add_checkpoint
from tests.audit.outside import Cosigner, RealWitness, policy_text, serving
from tests.audit.story import append, as_attacker
from tests.conftest import CommittedDatabase

HOURS = timedelta(hours=3)


def test_a21_an_old_checkpoint_verifies_for_ever_and_its_age_gives_it_away(
    sequence: Callable[[], None],
    signer: Signer,
    witness: RealWitness,
    publisher: Publisher,
    follow: Callable[..., None],
    client: Client,
) -> None:
    """A21: the note itself stays valid; a reader with the policy refuses it once its cosignature is too old."""
    follow({"real": (witness.vkey, witness.url)})
    sequence()
    publisher.run_once()
    publisher.close()
    old = client.get("/log/checkpoint").content.decode()
    policy = Policy.parse(Path(configured.WITNESS_POLICY).read_text())
    now = datetime.now(UTC)
    assert verify(old, signer.vkeys).size == 2
    assert freshness.of_note(old, policy, now, HOURS).ok
    later = freshness.of_note(old, policy, now + timedelta(hours=4), HOURS)
    assert later.ok is False
    assert "has cosigned since" in later.sentence


def test_a21_an_old_checkpoint_cannot_be_made_young_again(
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    witness: RealWitness,
    publisher: Publisher,
    follow: Callable[..., None],
) -> None:
    """A21: a witness cosigns only the largest tree that it has seen, so the old one gets no new time."""
    follow({"real": (witness.vkey, witness.url)})
    sequence()
    publisher.run_once()
    register = publisher._register
    old = register.checkpoints()[-1]
    append(3)
    sequence()
    publisher.run_once()
    with pytest.raises(KnowsAnotherSize) as told:
        add_checkpoint(Target("real", witness.vkey, witness.url), Request(old.head, old.note, old.size, []))
    assert told.value.size == 5


def test_a21_a_frozen_log_is_said_by_the_health_check_and_raises_an_alert(
    committed_db: CommittedDatabase,
    sequence: Callable[[], None],
    publisher: Publisher,
    follow: Callable[..., None],
    client: Client,
) -> None:
    """A21: the server itself stops claiming freshness when no quorum has cosigned for WITNESS_MAX_AGE."""
    cosigner = Cosigner()
    sequence()
    with serving(cosigner.answers) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
        assert client.get("/readyz").json()["checks"]["witnesses"]["state"] == "passed"
    as_attacker(committed_db.admin_url, "UPDATE audit.cosignature SET signed_at = signed_at - interval '4 hours'")
    assert client.get("/readyz").json()["checks"]["witnesses"]["state"] == "failed"
    assert freshness.of_log(log_id()).ok is False
    publisher.run_once()
    page = client.get("/readyz").json()["checks"]["witnesses"]["sentence"]
    assert "stands still" in page


def test_a21_a_time_in_the_future_does_not_make_a_checkpoint_fresh() -> None:
    """A21: a witness that dates ahead could keep a frozen log looking fresh for years."""
    one, two = Cosigner("one.example/w"), Cosigner("two.example/w")
    policy = Policy.parse(policy_text({"one": (one.vkey, ""), "two": (two.vkey, "")}, 1))
    now = datetime.now(UTC)
    ahead, behind = now + timedelta(days=1), now - timedelta(hours=5)
    assert freshness.judge(policy, {"one": ahead}, now, HOURS).ok is False
    assert freshness.judge(policy, {"one": ahead, "two": behind}, now, HOURS).at == behind
    assert freshness.judge(policy, {"one": now - timedelta(hours=1), "two": behind}, now, HOURS).ok
    both = Policy.parse(policy_text({"one": (one.vkey, ""), "two": (two.vkey, "")}, 2))
    assert freshness.judge(both, {"one": now, "two": behind}, now, HOURS).ok is False
    assert freshness.judge(both, {"one": now}, now, HOURS).ok is False
