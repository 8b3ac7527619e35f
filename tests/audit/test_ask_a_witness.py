"""One call to a witness: honest, lying, hanging, and talking nonsense."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey

from audit.merkle.checkpoint import Head
from audit.outgoing import NotDelivered
from audit.witnesses.client import KnowsAnotherSize, Request, Target, add_checkpoint
from tests.audit.outside import Answer, Cosigner, Received, Server, head_in, keys_of, serving

LIAR = Cosigner()
HEAD = Head("log.example/x", 7, b"\7" * 32)
NOTE = str(keys_of(HEAD.origin).sign(HEAD, 1_700_000_000))
REQUEST = Request(HEAD, NOTE, 0, [])
SIZE = {"Content-Type": "text/x.tlog.size"}
Reply = Callable[[Received], Answer]


def _ask(server: Server, cosigner: Cosigner = LIAR, **options: float) -> int:
    target = Target("liar", cosigner.vkey, server.url + "/w/")
    return add_checkpoint(target, REQUEST, **options).signed_at  # type: ignore[arg-type]


@pytest.mark.parametrize("cosigner", [LIAR, Cosigner(mldsa44=MLDSA44PrivateKey.generate())], ids=["0x04", "0x06"])
def test_a_cosignature_of_either_type_is_accepted(cosigner: Cosigner) -> None:
    with serving(cosigner.answers) as server:
        assert abs(_ask(server, cosigner) - time.time()) < 60
    assert server.got[0].path == "/w/add-checkpoint"
    assert server.got[0].body.decode() == f"old 0\n\n{NOTE}"


def test_lines_by_other_keys_of_the_witness_are_left_alone() -> None:
    other = Cosigner(mldsa44=MLDSA44PrivateKey.generate())
    with serving(lambda got: Answer(200, other.line(HEAD) + LIAR.line(HEAD))) as server:
        assert _ask(server)


def test_the_size_that_a_witness_knows_is_told() -> None:
    with serving(lambda got: Answer(409, b"5\n", SIZE)) as server, pytest.raises(KnowsAnotherSize) as told:
        _ask(server)
    assert told.value.size == 5


NOW = int(time.time())
LIES: dict[str, tuple[str, Reply]] = {
    "nothing": ("invalid", lambda got: Answer(200)),
    "bytes": ("invalid", lambda got: Answer(200, b"\xff\xfe\0\n")),
    "a page": ("invalid", lambda got: Answer(200, b"<html></html>\n")),
    "its line and a page": ("invalid", lambda got: Answer(200, LIAR.line(HEAD) + b"<html></html>\n")),
    "its line without line feed": ("invalid", lambda got: Answer(200, LIAR.line(HEAD)[:-1])),
    "its line twice": ("invalid", lambda got: Answer(200, LIAR.line(HEAD) * 2)),
    "a line of another key": ("invalid", lambda got: Answer(200, Cosigner().line(HEAD))),
    "another size": ("invalid", lambda got: Answer(200, LIAR.line(Head(HEAD.origin, 8, HEAD.root)))),
    "another root": ("invalid", lambda got: Answer(200, LIAR.line(Head(HEAD.origin, 7, b"\1" * 32)))),
    "another log": ("invalid", lambda got: Answer(200, LIAR.line(Head("log.example/y", 7, HEAD.root)))),
    "a flipped bit": ("invalid", lambda got: Answer(200, LIAR.line(HEAD)[:-6] + b"AAAA=\n")),
    "no time": ("invalid", lambda got: Answer(200, LIAR.line(HEAD, 0))),
    "a time in the future": ("invalid", lambda got: Answer(200, LIAR.line(HEAD, NOW + 3600))),
    "a time in the past": ("invalid", lambda got: Answer(200, LIAR.line(HEAD, NOW - 3600))),
    "an impossible time": ("invalid", lambda got: Answer(200, LIAR.line(HEAD, 2**63))),
    "409 and a page": ("invalid", lambda got: Answer(409, b"<html></html>", SIZE)),
    "409 and another type": ("invalid", lambda got: Answer(409, b"5\n", {"Content-Type": "text/plain"})),
    "409 and a huge size": ("invalid", lambda got: Answer(409, b"9223372036854775808\n", SIZE)),
    "409 and a size with a zero in front": ("invalid", lambda got: Answer(409, b"05\n", SIZE)),
    "a redirect": ("invalid", lambda got: Answer(307, b"", {"Location": "/elsewhere"})),
    "418": ("invalid", lambda got: Answer(418)),
    "400": ("refused", lambda got: Answer(400)),
    "403": ("refused", lambda got: Answer(403)),
    "404": ("refused", lambda got: Answer(404)),
    "422": ("conflict", lambda got: Answer(422)),
    "503": ("unreachable", lambda got: Answer(503)),
    "an answer cut short": (
        "unreachable",
        lambda got: Answer(200, b"x", {"Content-Length": "500", "Connection": "close"}),
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_becomes_a_state_and_a_sentence_and_never_a_cosignature(lie: str) -> None:
    state, reply = LIES[lie]
    with serving(reply) as server, pytest.raises(NotDelivered) as refused:
        _ask(server, deadline=2)
    assert refused.value.state == state
    assert refused.value.sentence.endswith((".", "code>"))
    assert len(server.got) == 1


def test_a_long_answer_is_refused_for_its_length() -> None:
    with (
        serving(lambda got: Answer(200, LIAR.line(HEAD) * 1000)) as server,
        pytest.raises(NotDelivered, match="more than 65536 bytes"),
    ):
        _ask(server)


def test_a_time_before_an_earlier_one_of_the_same_witness_is_refused() -> None:
    now = int(time.time())
    with serving(lambda got: Answer(200, LIAR.line(head_in(got), now))) as server:
        assert _ask(server, not_before=now)
        with pytest.raises(NotDelivered, match="earlier one"):
            _ask(server, not_before=now + 1)


def test_a_witness_that_never_answers_is_left_at_the_deadline() -> None:
    never = threading.Event()
    with serving(lambda got: Answer(wait=never)) as server, pytest.raises(NotDelivered) as refused:
        _ask(server, deadline=0.3)
    never.set()
    assert refused.value.state == "unreachable"


def test_a_witness_that_sends_a_byte_now_and_then_is_left_at_the_deadline_too() -> None:
    with serving(lambda got: Answer(200, LIAR.line(HEAD), drip=0.1)) as server, pytest.raises(NotDelivered) as refused:
        _ask(server, deadline=0.5)
    assert refused.value.state == "unreachable"


@pytest.mark.parametrize(
    "url", ["ftp://w.example", "w.example", "http://", "http://a:b@w.example", "http://[", "http://w:0"]
)
def test_an_address_that_is_none_is_said(url: str) -> None:
    with pytest.raises(NotDelivered) as refused:
        add_checkpoint(Target("w", LIAR.vkey, url), REQUEST)
    assert refused.value.state == "refused"


def test_nobody_listening_is_said() -> None:
    with serving(LIAR.answers) as server:
        pass
    with pytest.raises(NotDelivered) as refused:
        _ask(server)
    assert refused.value.state == "unreachable"
