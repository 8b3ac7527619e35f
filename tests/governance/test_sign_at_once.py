"""Sign, revoke, reject, reopen, lose a role, expire and deploy at the same time on the real database, by seeded chance.

After each history the database holds only what the pure function allows: the oracle of the sign-offs, which tries
everything, agrees with every decision that allowed; each permit was used once; and no step is unlawful.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection, connections
from django.utils import timezone

from audit import queries as log
from audit.actors import Actor
from audit.refusals import Refusal
from governance import accounts, decisions, gate, policies, promotions, retracting, rollouts, signoffs
from governance import facts as collecting
from governance.models.permit import Permit
from governance.models.promotion import Promotion
from governance.models.signoff import RetractionKind, SignOff
from governance.policies.signatures import SignOffEvent
from registry import versions
from registry.lineage import edges
from registry.models import Deployment
from tests import personas
from tests.governance import scene
from tests.governance.policies.signoff_oracle import Rule, verdict
from tests.governance.scene import Bank

HISTORIES = 24
RULE = Rule((("ml_lead",), ("compliance_officer",)))
SIGNERS = (("layla", "ml_lead"), ("jonas", "ml_lead"), ("omar", "compliance_officer"))
#: What each of the threads does, in turns of its own.
STEPS = 4
#: A promotion goes nowhere else from each state.
LAWFUL = {
    "requested": {"in_review", "blocked", "approved", "expired"},
    "in_review": {"approved", "rejected", "blocked", "expired", "in_review"},
    "approved": {"in_review", "blocked", "rejected", "expired", "deployed", "approved"},
    "blocked": {"in_review", "approved", "rejected", "expired", "blocked"},
    "rejected": {"in_review"},
}


@pytest.fixture
def real(committed_db: object) -> Bank:
    return scene.build()


class History:
    """One promotion, and everybody who does something with it at once."""

    def __init__(self, bank: Bank, number: int) -> None:
        self.random = random.Random(number)
        self.bank = bank
        self.version = versions.register_version(
            bank.model,
            digest=scene.digest_of(f"at once {number}"),
            trained_by=["yusuf"],
            number=100 + number,
            by=scene.SET_UP,
        )
        edges.record_edge(bank.loans, self.version, by=scene.SET_UP)
        short = timedelta(seconds=0.4) if number % 4 == 0 else timedelta(days=1)
        self.promotion = promotions.request(
            self.version, bank.uae, reason="Better.", expires_at=timezone.now() + short, by=scene.actor("yusuf")
        )
        self.refused: Counter[str] = Counter()
        self.unforeseen: list[BaseException] = []
        self.start = threading.Barrier(len(SIGNERS) + 3)
        self.lost = 0

    def run(self) -> None:
        """Everybody at once, until all are done."""
        plans = [self._person(scene.actor(name), role) for name, role in SIGNERS]
        plans += [self._deployer(scene.actor("ci")), self._deployer(scene.actor("sami"))]
        plans.append(self._administrator(scene.actor("amir")))
        threads = [threading.Thread(target=self._through, args=(plan,), daemon=True) for plan in plans]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
        assert not self.unforeseen, self.unforeseen

    def _through(self, plan: Sequence[Callable[[], object]]) -> None:
        try:
            self.start.wait(30)
            for step in plan:
                try:
                    step()
                except Refusal as refusal:
                    self.refused[refusal.code] += 1
        except BaseException as error:
            self.unforeseen.append(error)
        finally:
            connection.close()

    def _person(self, by: Actor, role: str) -> list[Callable[[], object]]:
        words = self.random.choices(("approve", "revoke", "reject", "reopen"), (7, 2, 1, 2), k=STEPS)
        steps: dict[str, Callable[[], object]] = {
            "approve": lambda: self._sign(by, role, "approve"),
            "reject": lambda: self._sign(by, role, "reject"),
            "revoke": lambda: self._take_back(by, RetractionKind.REVOKED),
            "reopen": lambda: self._take_back(by, RetractionKind.REOPENED),
        }
        return [steps[word] for word in ("approve", *words)]

    def _administrator(self, by: Actor) -> list[Callable[[], object]]:
        """Somebody loses the role by which they sign, and has it again at the end; each time the gate is asked."""
        name, role = self.random.choice(SIGNERS)
        person = personas.get(name)

        def take() -> None:
            accounts.revoke_role(person, role, reason="Moves on.", by=by)
            self.lost += 1

        def ask() -> object:
            return gate.check(self.version, self.bank.uae, by=scene.actor("ci"))

        def give() -> object:
            return accounts.grant_role(person, role, reason="Came back.", by=by)

        def wait() -> None:
            """Until they have signed, if they do."""
            mine = SignOff.objects.filter(promotion=self.promotion, signer=person.actor.id)
            for _ in range(40):
                if mine.exists():
                    return
                time.sleep(0.01)

        return [*([wait] * self.random.randrange(2)), take, ask, give, ask]

    def _sign(self, by: Actor, role: str, meaning: str) -> None:
        signoffs.sign(
            self.promotion.pk,
            meaning=meaning,
            comment="Checked.",
            role=role,
            subject_digest_seen=self.promotion.subject_digest,
            reauthenticated_at=timezone.now(),
            by=by,
        )

    def _take_back(self, by: Actor, kind: RetractionKind) -> None:
        act, meaning = (
            (retracting.revoke, "approve") if kind == RetractionKind.REVOKED else (retracting.reopen, "reject")
        )
        row = SignOff.objects.filter(promotion=self.promotion, signer=by.id, meaning=meaning).order_by("-pk").first()
        if row is not None:
            act(self.promotion.pk, row.pk, reason="Wrong run.", reauthenticated_at=timezone.now(), by=by)

    def _deployer(self, by: Actor) -> list[Callable[[], object]]:
        held: list[tuple[str, str]] = []

        def ask() -> None:
            answer = gate.check(self.version, self.bank.uae, by=by)
            if answer.decision is not None and answer.secret:
                held.append((answer.decision.public_id, answer.secret))

        def deploy() -> None:
            for decision, secret in held[-1:] * 2:  # twice: the second must be refused
                rollouts.record_deploy(decision, secret=secret, environment="prod-uae", by=by)

        last = self.random.choice((deploy, ask))
        return [ask, ask, deploy, lambda: promotions.expire_due(by=promotions.CLOCK), ask, last]


def test_whatever_happens_at_once_only_what_the_pure_function_allows_is_stored(real: Bank) -> None:
    seen: Counter[str] = Counter()
    for number in range(HISTORIES):
        history = History(real, number)
        history.run()
        seen[_lawful(history.promotion)] += 1
        seen["permits used"] += _used_once(history.promotion)
        seen["allowed"] += _every_allow_had_its_quorum(history.promotion)
        seen["refused"] += sum(history.refused.values())
        seen["roles lost"] += history.lost
        seen["without the role"] += _decided_without_the_role(history.promotion)
        _state_is_what_comes_out_now(history.promotion)
    assert seen["allowed"] > 5, seen
    assert seen["permits used"] > 2, seen
    assert seen["refused"] > HISTORIES, seen
    assert seen["roles lost"] == HISTORIES, seen
    assert seen["without the role"] > 2, seen


def _lawful(promotion: Promotion) -> str:
    """The state at last; every step in the log leads on from the one before it and is one that there is."""
    promotion.refresh_from_db()
    here = "requested"
    for row in reversed(log.history(promotion.subject, limit=500)):
        if row.event.startswith("promotion.") and "to" in row.facts:
            assert row.facts["from"] == here
            assert row.facts["to"] in LAWFUL[here], (here, row.facts["to"])
            here = str(row.facts["to"])
    assert here == promotion.state
    standing = Counter((row.round, row.signer) for row in promotion.signoffs.all() if not hasattr(row, "retraction"))
    assert not standing or max(standing.values()) == 1, "somebody signed twice"
    return promotion.state


def _used_once(promotion: Promotion) -> int:
    """Permits that were used: each has one entry and one deployment, and the quorum stood when it was used."""
    used = Permit.objects.filter(decision__promotion=promotion, consumed_at__isnull=False)
    for permit in used:
        entries = [row for row in log.history(promotion.subject, limit=500) if row.event == "permit.consumed"]
        mine = [row for row in entries if row.facts["decision"] == permit.decision.public_id]
        assert len(mine) == 1
        assert permit.consumed_at is not None
        assert _stood(promotion, permit.consumed_at), "it was used after the quorum fell"
    assert Deployment.objects.filter(version=promotion.version).count() == len(used) <= 1
    return len(used)


def _stood(promotion: Promotion, at: datetime) -> bool:
    """Whether the signatures that were there at that moment were a quorum, as the oracle counts."""
    rows = collecting.counting_signoffs(promotion)
    events: list[SignOffEvent] = [each for each in collecting.signed_events.events_of(rows) if each.at <= at]
    people = collecting.people_of(decisions.case_of(promotion), rows, [])
    return verdict(RULE, events, people, at, promotion.subject_digest) == "approved"


def _every_allow_had_its_quorum(promotion: Promotion) -> int:
    allowed = [each for each in promotion.decisions.all() if each.outcome == "allow"]
    for each in allowed:
        inputs = policies.read_inputs(each.inputs)
        found = verdict(RULE, inputs.events, inputs.people, each.decided_at, inputs.subject_digest)
        assert found == "approved", each.public_id
    return len(allowed)


def _decided_without_the_role(promotion: Promotion) -> int:
    """Decisions that were made while a signer lacked the role by which they had signed; that one filled no slot."""
    made = 0
    for each in promotion.decisions.all():
        inputs = policies.read_inputs(each.inputs)
        signed = [one for one in inputs.events if one.kind in ("approved", "rejected")]
        lacking = {one.by for one in signed if one.role not in inputs.people.roles.get(one.by, ())}
        filled = {one["by"] for one in each.signoff["filled"]}
        assert not lacking & filled, each.public_id
        made += bool(lacking)
    return made


def _state_is_what_comes_out_now(promotion: Promotion) -> None:
    """What is stored of an open promotion is what the pure function says of the same facts a moment later."""
    if promotion.is_open and promotion.expires_at > timezone.now() + timedelta(seconds=2):
        now = decisions.evaluate(decisions.case_of(promotion))
        derived = promotions.derived_state(now.outcome, expires_at=promotion.expires_at, now=now.decided_at)
        assert promotion.state == derived


def test_two_approvers_at_the_same_instant_are_both_counted(real: Bank) -> None:
    for number in range(3):
        history = History(real, 500 + 4 * number + 1)
        start = threading.Barrier(2)

        def approve(name: str, role: str, one: History = history, start: threading.Barrier = start) -> None:
            try:
                start.wait(20)
                scene.sign(one.promotion, name, role)
            except BaseException as error:
                one.unforeseen.append(error)
            finally:
                connections.close_all()

        both = [
            threading.Thread(target=approve, args=given)
            for given in (("layla", "ml_lead"), ("omar", "compliance_officer"))
        ]
        for thread in both:
            thread.start()
        for thread in both:
            thread.join(60)
        assert not history.unforeseen, history.unforeseen
        assert _lawful(history.promotion) == "approved"
        assert len(scene.latest(history.promotion).signoff["filled"]) == 2


def test_the_same_approver_twice_at_the_same_instant_is_counted_once(real: Bank) -> None:
    history = History(real, 601)
    start, refused = threading.Barrier(2), []

    def approve() -> None:
        try:
            start.wait(20)
            scene.sign(history.promotion, "layla", "ml_lead")
        except Refusal as refusal:
            refused.append(refusal.code)
        finally:
            connections.close_all()

    both = [threading.Thread(target=approve) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert refused == ["signoff.already_signed"]
    assert history.promotion.signoffs.count() == 1
