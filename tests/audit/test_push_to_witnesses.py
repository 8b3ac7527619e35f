"""The publisher brings checkpoints to witnesses: what it asks, what it remembers, what it makes of each answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import log
from audit.log import log_id
from audit.models import Event
from audit.publication import LONGEST_PAUSE, Patience, Register
from audit.publisher import Publisher
from audit.witnesses import freshness, known, queries
from audit.witnesses.submission import Submission
from config.stack import database
from tests.audit.outside import Answer, Cosigner, RealWitness, Received, head_in, serving
from tests.audit.story import LAYLA, append, as_attacker, execute
from tests.conftest import CommittedDatabase

Follow = Callable[..., None]
Sequence = Callable[[], None]


class _Clock:
    """Seconds that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def _push(register: Register, submission: Submission) -> None:
    for checkpoint in register.checkpoints():
        submission.push(checkpoint)


def _states() -> dict[str, tuple[str, str]]:
    return {state.name: (state.state, state.sentence) for state in queries.status(log_id())}


def _after() -> object:
    with transaction.atomic():
        receipt = log.append(Event.MODEL_CHANGED, "model:x", by=LAYLA)
    with connection.cursor() as cursor:
        cursor.execute("SELECT entry FROM audit.entry WHERE event_id = %s", [receipt.event_id])
        return json.loads(bytes(cursor.fetchone()[0]))["after"]


def test_a_real_witness_cosigns_and_what_it_saw_is_witnessed(
    sequence: Sequence, witness: RealWitness, publisher: Publisher, follow: Follow
) -> None:
    follow({"real": (witness.vkey, witness.url)})
    append(3)
    sequence()
    assert queries.witnessed_at(log_id(), 1) is None
    assert _after() is None
    assert publisher.run_once() == []
    first = queries.newest_witnessed(log_id())
    assert first is not None
    assert (first.size, first.names) == (5, ("real",))
    assert abs(datetime.now(UTC) - first.at) < timedelta(seconds=60)
    assert _states() == {"real": ("working", "")}
    known.forget()
    assert _after() == {"size": 5, "root": first.root_base64}
    append(300)
    sequence()
    assert publisher.run_once() == []
    newest = queries.newest_witnessed(log_id())
    assert newest is not None
    assert newest.size == 307
    assert queries.witnessed_at(log_id(), 4) == first
    assert queries.witnessed_at(log_id(), 5) == newest
    assert queries.witnessed_at(log_id(), 307) is None
    assert freshness.of_log(log_id()).ok


def test_a_size_that_was_forgotten_is_learnt_from_the_witness(
    committed_db: CommittedDatabase, sequence: Sequence, witness: RealWitness, publisher: Publisher, follow: Follow
) -> None:
    follow({"real": (witness.vkey, witness.url)})
    sequence()
    publisher.run_once()
    as_attacker(committed_db.admin_url, "DELETE FROM audit.cosignature")
    append(5)
    sequence()
    publisher.run_once()
    newest = queries.newest_witnessed(log_id())
    assert newest is not None
    assert newest.size == 7


def test_the_quorum_decides_what_is_witnessed_and_a_struck_witness_does_not_count(
    sequence: Sequence, publisher: Publisher, follow: Follow
) -> None:
    one, two, gone = Cosigner("one.example/w"), Cosigner("two.example/w"), threading.Event()
    sequence()
    with (
        serving(one.answers) as first,
        serving(lambda got: Answer(503) if not gone.is_set() else two.answers(got)) as second,
    ):
        both = {"one": (one.vkey, first.url), "two": (two.vkey, second.url)}
        follow(both, quorum="all")
        publisher.run_once()
        assert queries.newest_witnessed(log_id()) is None
        assert freshness.of_log(log_id()).ok is False
        assert {name: state for name, (state, _) in _states().items()} == {"one": "working", "two": "unreachable"}
        follow(both, quorum="any")
        seen = queries.newest_witnessed(log_id())
        assert seen is not None
        assert seen.names == ("one",)
        follow({"two": both["two"]})
        assert queries.newest_witnessed(log_id()) is None


def test_a_witness_that_hangs_holds_up_no_other(
    committed_db: CommittedDatabase, sequence: Sequence, follow: Follow
) -> None:
    good, hanging, never = Cosigner("good.example/w"), Cosigner("hanging.example/w"), threading.Event()
    sequence()
    register = Register(committed_db.url(database.SEQUENCER))
    with serving(good.answers) as first, serving(lambda got: Answer(wait=never)) as second:
        follow({"hanging": (hanging.vkey, second.url), "good": (good.vkey, first.url)}, quorum=1)
        _push(register, Submission(register, deadline=0.4))
        never.set()
    assert {name: state for name, (state, _) in _states().items()} == {"hanging": "unreachable", "good": "working"}
    assert queries.newest_witnessed(log_id()) is not None
    register.close()


def test_a_failing_witness_is_asked_ever_less_often_and_a_lasting_state_is_stored_once(
    committed_db: CommittedDatabase, sequence: Sequence, follow: Follow
) -> None:
    sequence()
    clock, cosigner = _Clock(), Cosigner()
    register = Register(committed_db.url(database.SEQUENCER))
    with serving(lambda got: Answer(403)) as server:
        follow({"w": (cosigner.vkey, server.url)})
        submission = Submission(register, clock=clock)
        asked = []
        for second in range(0, 400, 5):
            clock.now = second
            _push(register, submission)
            asked.append(len(server.got))
    assert [second * 5 for second in range(1, 80) if asked[second] > asked[second - 1]] == [10, 30, 70, 150, 310]
    assert _states()["w"][0] == "refused"
    assert execute(committed_db.admin_url, "SELECT count(*) FROM audit.publication") == [(1,)]
    patience = Patience(clock)
    for _ in range(50):
        patience.failed()
    assert patience.next_try - clock.now == LONGEST_PAUSE
    register.close()


def test_a_log_that_does_not_grow_is_cosigned_again_every_hour_only(
    committed_db: CommittedDatabase, sequence: Sequence, publisher: Publisher, follow: Follow
) -> None:
    cosigner = Cosigner()
    sequence()
    with serving(cosigner.answers) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
        publisher.run_once()
        assert len(server.got) == 1
        earlier = "UPDATE audit.cosignature SET signed_at = signed_at - interval '61 minutes'"
        as_attacker(committed_db.admin_url, earlier)
        publisher.run_once()
        assert len(server.got) == 2
    assert server.got[1].body.startswith(b"old 2\n\n")
    assert execute(committed_db.admin_url, "SELECT count(*) FROM audit.cosignature") == [(2,)]


def test_a_witness_that_knows_more_than_we_have_is_a_finding_and_is_never_overlooked(
    sequence: Sequence, publisher: Publisher, follow: Follow
) -> None:
    cosigner = Cosigner()
    sequence()
    with serving(lambda got: Answer(409, b"99\n", {"Content-Type": "text/x.tlog.size"})) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
    state, sentence = _states()["w"]
    assert state == "conflict"
    assert "99 entries, more than this log has" in sentence


def test_a_witness_that_contradicts_itself_is_asked_twice_and_no_more(
    sequence: Sequence, publisher: Publisher, follow: Follow
) -> None:
    cosigner = Cosigner()
    sizes = iter([b"1\n", b"0\n", b"1\n"])
    sequence()
    with serving(lambda got: Answer(409, next(sizes), {"Content-Type": "text/x.tlog.size"})) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
        assert len(server.got) == 2
    assert _states()["w"][0] == "invalid"


@pytest.mark.usefixtures("sequence")
def test_a_policy_that_cannot_be_followed_is_said_and_nothing_counts_as_witnessed(
    sequence: Sequence, publisher: Publisher, follow: Follow, settings: object
) -> None:
    from pathlib import Path

    sequence()
    follow({})
    path = Path(settings.WITNESS_POLICY)  # type: ignore[attr-defined]
    for text, part in (("quorum one\n", "line 1"), ("", "no quorum"), ("\0", "line 1")):
        path.write_text(text)
        problems = publisher.run_once()
        assert part in problems[0]
        assert queries.newest_witnessed(log_id()) is None
        assert freshness.of_log(log_id()).ok is False
        assert _after() is None
    path.unlink()
    assert "cannot be read" in publisher.run_once()[0]


def test_an_append_asks_for_the_newest_witnessed_checkpoint_at_most_every_ten_seconds(
    sequence: Sequence, publisher: Publisher, follow: Follow
) -> None:
    cosigner = Cosigner()
    sequence()
    _after()
    with CaptureQueriesContext(connection) as without:
        append(20)
    with serving(cosigner.answers) as server:
        follow({"w": (cosigner.vkey, server.url)})
        publisher.run_once()
    known.forget()
    with CaptureQueriesContext(connection) as once:
        append(20)
    with CaptureQueriesContext(connection) as kept:
        append(20)
    assert len(once) - len(without) == 1
    assert len(kept) == len(without)


def test_the_verify_page_and_the_metrics_name_each_witness(
    sequence: Sequence, publisher: Publisher, follow: Follow, client_for: Callable[[str], object]
) -> None:
    cosigner = Cosigner()
    sequence()

    def mood(got: Received) -> Answer:
        return cosigner.answers(got) if head_in(got).size == 2 else Answer(403)

    with serving(mood) as server:
        follow({"first-witness": (cosigner.vkey, server.url)})
        publisher.run_once()
        client = client_for("noor")
        page = client.get("/verify").content.decode()  # type: ignore[attr-defined]
        assert "first-witness" in page
        ready = client.get("/readyz").json()  # type: ignore[attr-defined]
        assert ready["checks"]["witnesses"]["state"] == "passed"
        append()
        sequence()
        publisher.run_once()
        assert "trusts none of the keys" in client.get("/verify").content.decode()  # type: ignore[attr-defined]
    metrics = client.get("/metrics").content.decode()  # type: ignore[attr-defined]
    assert 'countersign_witness_working{witness="first-witness"} 0.0' in metrics
    assert "countersign_witnessed_size 2.0" in metrics
