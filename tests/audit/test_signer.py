"""The signer: its secret, its state on disk, and what it answers to nonsense."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.merkle.checkpoint import Head
from audit.merkle.tree import root_of
from audit.signer import Signer, SignerRefusal, SignerUnavailable
from audit.signer_protocol import SignerClient, SignerServer, read_secret
from tests.audit.story import ORIGIN
from tests.conftest import free_port


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, bytes]]:
    """A signer served in a thread: its address and secret."""
    secret = b"s" * 40
    server = SignerServer(Signer(tmp_path / "served", ORIGIN), secret, "127.0.0.1:0")

    def serve() -> None:
        try:
            server.serve_forever()
        except OSError:
            return

    threading.Thread(target=serve, daemon=True).start()
    yield server.address, secret
    server.close()


def test_only_who_knows_the_secret_gets_a_signature(served: tuple[str, bytes]) -> None:
    address, secret = served
    root = bytes(32)
    with pytest.raises(SignerRefusal, match="secret"):
        SignerClient(address, None).sign(1, root, [])
    with pytest.raises((SignerRefusal, SignerUnavailable)):
        SignerClient(address, b"x" * 40).sign(1, root, [])
    assert SignerClient(address, None).head()[0].size == 0
    client = SignerClient(address, secret)
    note = client.sign(1, root, [])
    assert client.sign(1, root, []) == note
    with pytest.raises(SignerRefusal) as caught:
        client.sign(1, bytes(31) + b"1", [])
    assert caught.value.code == "fork"


def test_nonsense_does_not_stop_the_signer(served: tuple[str, bytes]) -> None:
    host, _, port = served[0].partition(":")
    for nonsense in (
        b"",
        b"\n",
        b"- {}\n",
        b"- [1]\n",
        b"- not json\n",
        b"\xff\xfe\n",
        b"x" * 100_000,
        b'- {"do":5}\n',
    ):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(nonsense)
    assert SignerClient(served[0], None).head()[0].origin == ORIGIN


def test_an_unreachable_signer_or_a_loose_secret_is_said(tmp_path: Path) -> None:
    with pytest.raises(SignerUnavailable, match="does not answer"):
        SignerClient(f"127.0.0.1:{free_port()}", None).head()
    for address in ("", "nowhere", "host:port"):
        with pytest.raises(SignerUnavailable, match="host:port"):
            SignerClient(address, None)
    secret = tmp_path / "secret"
    for prepare, sentence in (
        (lambda: None, "cannot be read"),
        (lambda: secret.write_bytes(b"x" * 40), "0600"),
        (lambda: (secret.write_bytes(b"short"), secret.chmod(0o600)), "32"),
    ):
        prepare()
        with pytest.raises(SignerUnavailable, match=sentence):
            read_secret(secret)


def test_the_signer_refuses_a_state_that_others_can_read_or_that_is_in_use(tmp_path: Path) -> None:
    state = tmp_path / "s"
    first = Signer(state, ORIGIN)
    with pytest.raises(SignerUnavailable, match="another signer"):
        Signer(state, ORIGIN)
    first.close()
    with pytest.raises(SignerUnavailable, match="belongs to the log"):
        Signer(state, "other/log").close()
    assert {path.stat().st_mode & 0o777 for path in state.iterdir()} == {0o600}
    assert state.stat().st_mode & 0o777 == 0o700
    (state / "mldsa44-1.key").chmod(0o640)
    with pytest.raises(SignerUnavailable, match="0600"):
        Signer(state, ORIGIN)
    state.chmod(0o755)
    with pytest.raises(SignerUnavailable, match="0700"):
        Signer(state, ORIGIN)


@pytest.mark.parametrize("gone", ["head.json", "ed25519-1.key", "mldsa44-1.key"])
def test_a_signer_that_lost_a_part_of_its_state_does_not_begin_anew(tmp_path: Path, gone: str) -> None:
    Signer(tmp_path / "s", ORIGIN).close()
    (tmp_path / "s" / gone).unlink()
    with pytest.raises(SignerUnavailable, match=gone):
        Signer(tmp_path / "s", ORIGIN)


@pytest.mark.parametrize("head", ["", "{}", '{"origin": "tests.example/log"}', "[]", "not json"])
def test_a_head_that_cannot_be_read_is_said(tmp_path: Path, head: str) -> None:
    Signer(tmp_path / "s", ORIGIN).close()
    (tmp_path / "s" / "head.json").write_text(head)
    with pytest.raises(SignerUnavailable, match="cannot be read"):
        Signer(tmp_path / "s", ORIGIN)


def test_a_full_disk_at_the_signer_signs_nothing_and_forgets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Signer(tmp_path / "s", ORIGIN)
    first = made.sign(1, bytes(32), [])

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("audit.signer.write", full)
        with pytest.raises(SignerUnavailable, match="No space left"):
            made.sign(2, root_of([bytes(32), bytes(32)]), [bytes(32)])
    assert made.head() == (Head(ORIGIN, 1, bytes(32)), first)
    assert made.sign(1, bytes(32), []) == first
    made.close()
    assert Signer(tmp_path / "s").head()[1] == first
    assert made.sign(2, root_of([bytes(32), bytes(32)]), [bytes(32)])


def test_a_new_log_gets_keys_of_its_own_and_a_finished_one_signs_no_more(
    served: tuple[str, bytes], tmp_path: Path
) -> None:
    address, secret = served
    old = SignerClient(address, secret, ORIGIN)
    note = old.sign(1, bytes(32), [])
    new = old.opened("tests.example/log/2027")
    assert not set(old.vkeys) & set(new.vkeys)
    assert {vkey.name for vkey in new.vkeys} == {"tests.example/log/2027"}
    assert SignerClient(address, None).origin == new.origin
    old.finish()
    assert not list((tmp_path / "served").glob("*.key"))
    assert old.sign(1, bytes(32), []) == note
    with pytest.raises(SignerRefusal) as caught:
        old.sign(2, root_of([bytes(32), bytes(32)]), [bytes(32)])
    assert caught.value.code == "closed"
    assert old.head() == (Head(ORIGIN, 1, bytes(32)), note)
    for name in ("", "a b", "a+b", "x" * 256, "é" * 200):
        with pytest.raises(SignerRefusal, match="name"):
            SignerClient(address, secret).opened(name)
    with pytest.raises(SignerRefusal, match="secret"):
        SignerClient(address, None).finish()
    with pytest.raises(SignerRefusal, match="no log"):
        SignerClient(address, secret, "unknown").head()
