"""Signed checkpoints: standard bytes that tools other than ours accept, and nothing else accepted by ours."""

from __future__ import annotations

import base64
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from tlog_scales import signing, tlog

from audit.merkle.checkpoint import Head, NoteInvalid, SigningKeys, Vkey, parse, verify

KEYS = SigningKeys(
    "tests.example/log",
    Ed25519PrivateKey.from_private_bytes(bytes(32)),
    MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))),
)
HEAD = Head("tests.example/log", 702, bytes(range(32)))
NOTE = str(KEYS.sign(HEAD, 1_700_000_000))


def test_a_note_verifies_with_both_keys_and_gives_its_head_back() -> None:
    assert verify(NOTE, KEYS.vkeys) == HEAD
    assert str(parse(NOTE)) == NOTE
    assert NOTE.startswith(f"tests.example/log\n702\n{base64.b64encode(bytes(range(32))).decode()}\n\n\u2014 ")


def test_tlog_scales_accepts_both_signatures() -> None:
    for vkey in KEYS.vkeys:
        tlog.Checkpoint.from_text(NOTE).verify(signing.Vkey.from_string(str(vkey)))


def test_the_key_and_note_of_the_go_reference_implementation_verify() -> None:
    # golang.org/x/mod/sumdb/note, example of the package documentation.
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    vkey = Vkey.parse(text)
    assert str(vkey) == text
    assert (vkey.algorithm_name, vkey.key_id.hex()) == ("Ed25519", "c74f20a3")


def test_openssl_alone_verifies_the_ed25519_signature(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text(NOTE)
    (tmp_path / "vkey").write_text("".join(f"{vkey}\n" for vkey in KEYS.vkeys))
    from audit.pages.commands import check_signature

    script = check_signature("https://example/log/checkpoint").split("\n", 2)[2]
    done = subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Verified Successfully" in done.stdout
    (tmp_path / "checkpoint").write_text(NOTE.replace("\n702\n", "\n703\n"))
    assert subprocess.run(["sh", "-euc", script], cwd=tmp_path, capture_output=True, check=False).returncode != 0


def _replaced(old: str, new: str) -> str:
    assert old in NOTE
    return NOTE.replace(old, new, 1)


CLASSIC, MODERN = NOTE.splitlines(keepends=True)[4:6]


@pytest.mark.parametrize(
    "forged",
    [
        "",
        NOTE[:-1],
        NOTE + "x",
        _replaced("\n702\n", "\n0702\n"),
        _replaced("\n702\n", "\n+702\n"),
        _replaced("\n702\n", "\n٧٠٢\n"),
        _replaced("\n702\n", "\n703\n"),
        _replaced("AAEC", "AAED"),
        _replaced("tests.example/log\n", "tests.example/lag\n"),
        _replaced("tests.example/log\n", "tests.example/log \n"),
        NOTE.replace("\n", "\r\n"),
        _replaced("\n\n", "\nextension\n\n"),
        _replaced("\n\n", "\n"),
        NOTE.replace(CLASSIC, ""),
        NOTE.replace(MODERN, ""),
        NOTE + CLASSIC,
        NOTE.replace("\u2014", "-"),
        NOTE.replace(CLASSIC, CLASSIC.replace("=\n", "\n")),
        NOTE.replace(CLASSIC, CLASSIC[:-4] + "B" + CLASSIC[-3:]),
        NOTE + "\u2014 someone else AAAA\n",
    ],
)
def test_whatever_deviates_from_the_note_is_refused(forged: str) -> None:
    with pytest.raises(NoteInvalid):
        verify(forged, KEYS.vkeys)


def test_signatures_by_unknown_keys_are_ignored_and_a_known_name_with_another_key_proves_nothing() -> None:
    other = SigningKeys(KEYS.origin, Ed25519PrivateKey.generate(), MLDSA44PrivateKey.generate())
    forged = str(other.sign(HEAD, 1))
    extra = "".join(forged.splitlines(keepends=True)[4:])
    assert verify(NOTE + extra, KEYS.vkeys) == HEAD
    with pytest.raises(NoteInvalid):
        verify(forged, KEYS.vkeys)
    with pytest.raises(NoteInvalid):
        verify(NOTE, [])


def test_an_old_signature_does_not_fit_another_head() -> None:
    body = Head(HEAD.origin, 703, HEAD.root).body()
    with pytest.raises(NoteInvalid):
        verify(body + "\n" + CLASSIC + MODERN, KEYS.vkeys)


@pytest.mark.parametrize(
    "text", ["", "a", "a+b", "log+00000000+AQ==", "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"]
)
def test_a_malformed_key_is_refused(text: str) -> None:
    with pytest.raises(NoteInvalid):
        Vkey.parse(text)
