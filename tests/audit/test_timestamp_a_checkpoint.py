"""Timestamps by a real authority (``openssl ts`` behind HTTP), and by one that answers something else."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from audit import timestamps
from audit.merkle.checkpoint import Head
from audit.outgoing import NotDelivered
from audit.publication import Checkpoint
from audit.publisher import Publisher
from audit.timestamps import TimestampInvalid, TimestampUnverified, verify
from tests.audit.outside import Answer, Authority, Received, keys_of, serving
from tests.audit.story import append, as_attacker, execute
from tests.conftest import CommittedDatabase

HEAD = Head("log.example/x", 7, b"\7" * 32)
CHECKPOINT = Checkpoint(
    1, 7, HEAD.root, str(keys_of(HEAD.origin).sign(HEAD, 1_700_000_000)), datetime.now(UTC), current=True
)


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that embeds its chain in openssl's order, which the strict parser refuses."""
    return Authority(tmp_path_factory.mktemp("authority") / "chained", chain=True)


def _query(note: str, folder: Path) -> bytes:
    from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

    return TimestampRequestBuilder().data(note.encode()).hash_algorithm(HashAlgorithm.SHA256).build().as_bytes()


def test_a_checkpoint_is_stamped_and_the_stamp_verifies_later(authority: Authority, settings: Any) -> None:
    with serving(authority.answers) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, str(authority.roots)
        token = timestamps.stamp(CHECKPOINT)
        assert server.got[0].headers["content-type"] == "application/timestamp-query"
    stamped = verify(CHECKPOINT.note, token, authority.roots.read_bytes())
    assert stamped.verifier == "rfc3161-client"
    assert abs(stamped.at - datetime.now(UTC)) < timedelta(seconds=60)


def test_openssl_reads_what_the_strict_parser_refuses(chained: Authority, settings: Any) -> None:
    with serving(chained.answers) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, str(chained.roots)
        token = timestamps.stamp(CHECKPOINT)
    assert verify(CHECKPOINT.note, token, chained.roots.read_bytes()).verifier == "openssl"


def test_without_openssl_such_a_timestamp_is_not_called_invalid_but_unverified(
    chained: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = chained.token(_query(CHECKPOINT.note, tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TimestampUnverified, match="openssl is not at hand"):
        verify(CHECKPOINT.note, token, chained.roots.read_bytes())


@pytest.mark.parametrize("kind", ["authority", "chained"])
def test_a_timestamp_of_another_note_or_by_a_stranger_does_not_hold(
    kind: str, request: pytest.FixtureRequest, authority: Authority, chained: Authority, tmp_path: Path
) -> None:
    own: Authority = request.getfixturevalue(kind)
    stranger = chained if own is authority else authority
    token, roots = own.token(_query(CHECKPOINT.note, tmp_path)), own.roots.read_bytes()
    assert verify(CHECKPOINT.note, token, roots)
    with pytest.raises(TimestampInvalid):
        verify(CHECKPOINT.note + "x", token, roots)
    with pytest.raises(TimestampInvalid):
        verify(CHECKPOINT.note, token, stranger.roots.read_bytes())
    imprint = token.index(hashlib.sha256(CHECKPOINT.note.encode()).digest())
    for place in (imprint, len(token) - 5):
        flipped = bytearray(token)
        flipped[place] ^= 1
        with pytest.raises(TimestampInvalid):
            verify(CHECKPOINT.note, bytes(flipped), roots)


@pytest.mark.parametrize("token", [b"", b"garbage", b"0\x80", b"\x30\x05\x30\x03\x02\x01\x02", b"\0" * 9000])
def test_what_is_no_timestamp_does_not_hold(token: bytes, authority: Authority) -> None:
    with pytest.raises(TimestampInvalid):
        verify(CHECKPOINT.note, token, authority.roots.read_bytes())


def test_without_readable_roots_nothing_is_verified(authority: Authority, tmp_path: Path) -> None:
    with pytest.raises(TimestampUnverified, match="no certificate"):
        verify(CHECKPOINT.note, authority.token(_query(CHECKPOINT.note, tmp_path)), b"nothing")


def test_an_answer_to_another_question_is_refused(authority: Authority, tmp_path: Path, settings: Any) -> None:
    replayed = authority.token(_query(CHECKPOINT.note, tmp_path))
    with serving(lambda got: Answer(200, replayed)) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, str(authority.roots)
        with pytest.raises(NotDelivered, match=r"(?i)nonce") as refused:
            timestamps.stamp(CHECKPOINT)
    assert refused.value.state == "invalid"


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Answer(200, b"<html></html>"), "invalid"),
        (Answer(200, b""), "invalid"),
        (Answer(200, b"\x30\x05\x30\x03\x02\x01\x02"), "invalid"),
        (Answer(200, b"\0" * 70_000), "invalid"),
        (Answer(404), "refused"),
        (Answer(302, b"", {"Location": "/"}), "refused"),
        (Answer(503), "unreachable"),
    ],
)
def test_an_authority_that_answers_nonsense_gets_a_state_and_a_sentence(
    answer: Answer, state: str, authority: Authority, settings: Any
) -> None:
    with serving(lambda got: answer) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, str(authority.roots)
        with pytest.raises(NotDelivered) as refused:
            timestamps.stamp(CHECKPOINT)
    assert refused.value.state == state
    assert refused.value.sentence.endswith((".", ". "))


@pytest.mark.parametrize("roots", ["", "/nowhere/roots.pem"])
def test_nothing_is_asked_for_that_could_not_be_verified(roots: str, authority: Authority, settings: Any) -> None:
    with serving(authority.answers) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, roots
        with pytest.raises(NotDelivered, match="TIMESTAMP_ROOTS"):
            timestamps.stamp(CHECKPOINT)
        assert server.got == []


def test_the_publisher_stamps_hourly_and_with_each_new_day(
    committed_db: CommittedDatabase, sequence: Any, publisher: Publisher, authority: Authority, settings: Any
) -> None:
    calls: list[Received] = []

    def answers(got: Received) -> Answer:
        calls.append(got)
        return authority.answers(got)

    def once_more() -> int:
        append()
        sequence()
        publisher.run_once()
        return len(calls)

    with serving(answers) as server:
        settings.TIMESTAMP_URL, settings.TIMESTAMP_ROOTS = server.url, str(authority.roots)
        assert once_more() == 1
        aged = "UPDATE audit.anchor SET created_at = created_at - interval '{}'"
        as_attacker(committed_db.admin_url, aged.format("1 second"))
        noon = (
            "UPDATE audit.anchor SET created_at = greatest(date_trunc('day', now(), 'UTC'), now() - interval '50 min')"
        )
        as_attacker(committed_db.admin_url, noon)
        assert once_more() == 1
        as_attacker(committed_db.admin_url, aged.format("61 minutes"))
        assert once_more() == 2
        publisher.run_once()
        assert len(calls) == 2
        before = "UPDATE audit.anchor SET created_at = date_trunc('day', now(), 'UTC') - interval '1 second'"
        as_attacker(committed_db.admin_url, before)
        assert once_more() == 3
    rows = execute(
        committed_db.admin_url,
        "SELECT note, token FROM audit.anchor JOIN audit.checkpoint USING (log_id, size) WHERE kind = 'rfc3161'",
    )
    assert len(rows) == 3
    for note, token in rows:
        assert verify(note, bytes(token), authority.roots.read_bytes())
