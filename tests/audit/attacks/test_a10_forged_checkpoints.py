"""A10: checkpoints by unknown keys, with copied or changed signatures, or a byte away from the format.

Each forgery is also shown to verifiers that are not ours: metamorphic-log (Rust) must refuse the same, unless the
table says why we are stricter; and what it accepts of honest notes we accept too.
"""

from __future__ import annotations

import base64
from collections.abc import Callable

import metamorphic_log
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st
from tlog_scales import signing, tlog

from audit.merkle import edwards
from audit.merkle.checkpoint import (
    COSIGNATURE,
    ED25519,
    Head,
    NoteInvalid,
    Signature,
    SigningKeys,
    Vkey,
    parse,
    verify,
    verify_any,
)
from audit.merkle.cosignature import cosignatures, line_of
from tests.audit.notes import CLASSIC, KEYS, MODERN, NOON, ORIGIN, Witness, note_of

HEAD = Head(ORIGIN, 702, bytes(range(32)))
OLD = Head(ORIGIN, 400, bytes(range(1, 33)))
NOTE = note_of(HEAD, CLASSIC, MODERN)
PLAIN = note_of(HEAD)
BODY, _, LINES = NOTE.partition("\n\n")
LOG, LOG_MODERN, *_WITNESSES = LINES.splitlines(keepends=True)
SIGNED = LOG.split()[2]
STRANGER = SigningKeys(ORIGIN, Ed25519PrivateKey.from_private_bytes(bytes([9] * 32)), MLDSA44PrivateKey.generate())
KEY = str(KEYS.vkeys[0])


def with_log_line(line: str) -> str:
    """The note with another first signature."""
    return NOTE.replace(LOG, line)


def signed(payload: bytes, name: str = ORIGIN) -> str:
    """A signature line with any key id and signature."""
    return f"\u2014 {name} {base64.b64encode(payload).decode()}\n"


def changed(old: str, new: str) -> str:
    """The note with one place changed."""
    assert old in NOTE
    return NOTE.replace(old, new, 1)


FORGED = {
    "signed by a stranger under his own name": str(
        SigningKeys("stranger.example/log", STRANGER.ed25519, STRANGER.mldsa44).sign(HEAD, NOON)
    ),
    "signed by a stranger under the log's name": str(STRANGER.sign(HEAD, NOON)),
    "the log's key id over a stranger's signature": with_log_line(
        signed(KEYS.vkeys[0].key_id + STRANGER.ed25519.sign(HEAD.body().encode()))
    ),
    "signatures copied from an older checkpoint": f"{HEAD.body()}\n{note_of(OLD).partition(chr(10) * 2)[2]}",
    "signatures copied to another origin": changed(f"{ORIGIN}\n", "tests.example/lag\n"),
    "another size": changed("\n702\n", "\n703\n"),
    "another root": changed("AAEC", "AAED"),
    "no signature at all": f"{BODY}\n\n",
    "no empty line": changed("\n\n", "\n"),
    "two empty lines at the end": NOTE + "\n",
    "CRLF everywhere": NOTE.replace("\n", "\r\n"),
    "one CR": changed("\n702\n", "\r\n702\n"),
    "the final line feed missing": NOTE[:-1],
    "something after the final line feed": NOTE + "x",
    "a leading zero": changed("\n702\n", "\n0702\n"),
    "a plus sign": changed("\n702\n", "\n+702\n"),
    "a minus sign": changed("\n702\n", "\n-702\n"),
    "a space after the size": changed("\n702\n", "\n702 \n"),
    "Arabic digits": changed("\n702\n", "\n\u0667\u0660\u0662\n"),
    "no size": changed("\n702\n", "\n\n"),
    "a size beyond 64 bits": changed("\n702\n", "\n18446744073709551616\n"),
    "a size of 5000 digits": changed("\n702\n", "\n" + "9" * 5000 + "\n"),
    "an extension line that nobody signed": changed("\n\n", "\nextension\n\n"),
    "base64 without padding": changed(SIGNED, SIGNED.rstrip("=")),
    "base64 with stray bits": changed(SIGNED, SIGNED[:-2] + "B="),
    "base64 with a space": changed(SIGNED, SIGNED[:8] + " " + SIGNED[8:]),
    "base64 in the alphabet for addresses": changed(SIGNED, SIGNED[:-4] + "-_" + SIGNED[-2:]),
    "a root with stray bits": changed("Hh8=\n", "Hh9=\n"),
    "a root of 31 bytes": changed(base64.b64encode(HEAD.root).decode(), base64.b64encode(HEAD.root[:31]).decode()),
    "a root of 33 bytes": changed(base64.b64encode(HEAD.root).decode(), base64.b64encode(HEAD.root + b"x").decode()),
    "a hyphen for the dash": NOTE.replace("\u2014", "-"),
    "an en dash for the dash": NOTE.replace("\u2014", "\u2013"),
    "a no-break space after the dash": NOTE.replace("\u2014 ", "\u2014\u00a0"),
    "two spaces after the dash": NOTE.replace("\u2014 ", "\u2014  "),
    "a space at the end of a line": changed(LOG, LOG[:-1] + " \n"),
    "a tab": changed("\n702\n", "\t\n702\n"),
    "U+0000": changed("\n702\n", "\n702\0\n"),
    "a byte order mark": "\ufeff" + NOTE,
    "an extra line that is no signature": NOTE + "\u2014 someone else AAAA\n",
    "an extra signature of three bytes": NOTE + "\u2014 someone.example AAAA\n",
    "an extra name with a plus": NOTE + "\u2014 some+one AAAAAAAA\n",
    "an extra name with an ideographic space": NOTE + "\u2014 some\u3000one AAAAAAAA\n",
    "nothing": "",
    "only line feeds": "\n\n\n",
}
STRICTER = {
    "the ML-DSA-44 line missing: both keys of the log must sign": NOTE.replace(LOG_MODERN, ""),
    "a signature of the log twice: nobody honest writes it": NOTE + LOG,
    "65 signature lines: a limit that signed-note asks for": NOTE + "\u2014 someone.example AAAAAAAA\n" * 61,
}


@pytest.mark.parametrize("defect", FORGED)
def test_a_forged_checkpoint_is_refused_here_and_elsewhere(defect: str) -> None:
    for check in (verify, verify_any):
        with pytest.raises(NoteInvalid):
            check(FORGED[defect], KEYS.vkeys)
    with pytest.raises(metamorphic_log.VerifyError):
        metamorphic_log.checkpoint_verify(FORGED[defect], [KEY])


@pytest.mark.parametrize("defect", STRICTER)
def test_what_others_let_pass_is_refused_here_for_a_reason(defect: str) -> None:
    with pytest.raises(NoteInvalid):
        verify(STRICTER[defect], KEYS.vkeys)
    metamorphic_log.checkpoint_verify(STRICTER[defect], [KEY])


@pytest.mark.parametrize(
    "extra",
    [
        "",
        "\u2014 someone.example AAAAAAAA\n" * 12,
        signed(b"abcd" + bytes(64)),
        signed(KEYS.vkeys[0].key_id + bytes(64), name="another.example/log"),
        "".join(str(STRANGER.sign(HEAD, NOON)).splitlines(keepends=True)[4:]),
    ],
    ids=["none", "twelve", "of the log's name", "of the log's key id", "of both types"],
)
def test_signatures_of_unknown_keys_change_nothing(extra: str) -> None:
    note = NOTE + extra
    assert verify(note, KEYS.vkeys) == verify_any(note, KEYS.vkeys) == HEAD
    assert str(parse(note)) == note
    assert metamorphic_log.checkpoint_verify(note, [KEY]).size == 702
    tlog.Checkpoint.from_text(note).verify(signing.Vkey.from_string(KEY))
    with pytest.raises(NoteInvalid):
        verify(note, STRANGER.vkeys[:0])


def test_one_key_of_the_log_is_enough_for_a_policy_but_a_false_line_of_a_known_key_rejects_the_note() -> None:
    assert verify_any(NOTE.replace(LOG_MODERN, ""), KEYS.vkeys) == HEAD
    assert verify_any(NOTE.replace(LOG, ""), KEYS.vkeys) == HEAD
    broken = LOG_MODERN.split()[2]
    false_modern = NOTE.replace(broken, broken[:-8] + "AAAAAAA=")
    false_classic = with_log_line(signed(KEYS.vkeys[0].key_id + bytes(64)))
    for text in (false_modern, false_classic):
        with pytest.raises(NoteInvalid):
            verify_any(text, KEYS.vkeys)


def test_the_key_of_one_log_does_not_sign_for_another() -> None:
    foreign = Head("other.example/log", 702, HEAD.root)
    note = f"{foreign.body()}\n{signed(KEYS.vkeys[0].key_id + KEYS.ed25519.sign(foreign.body().encode()))}"
    with pytest.raises(NoteInvalid):
        verify(note, KEYS.vkeys[:1])


@settings(deadline=None)
@given(st.data())
def test_no_single_changed_byte_of_a_note_goes_unnoticed(data: st.DataObject) -> None:
    raw = bytearray(PLAIN.encode())
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises((NoteInvalid, UnicodeDecodeError)):
        verify(raw.decode(), KEYS.vkeys)


def _small_order() -> list[bytes]:
    p = 2**255 - 19
    canonical = [y.to_bytes(32, "little") for y in sorted(edwards._SMALL_ORDER)]
    negative = [bytes([*key[:31], key[31] | 0x80]) for key in canonical]
    beyond = [(p + y).to_bytes(32, "little") for y in (0, 1, 2, 18)]
    return [*canonical, *negative, *beyond]


@pytest.mark.parametrize("key", _small_order(), ids=lambda key: key.hex()[:8] + key.hex()[-4:])
@pytest.mark.parametrize("algorithm", [ED25519, COSIGNATURE])
def test_a_key_under_which_anything_verifies_is_no_key(key: bytes, algorithm: int) -> None:
    weak = Vkey(ORIGIN, algorithm, key)
    with pytest.raises(NoteInvalid):
        Vkey.parse(str(weak))
    with pytest.raises(NoteInvalid):
        weak.verify(bytes(64 if algorithm == ED25519 else 72), HEAD)


def test_the_identity_as_a_key_would_accept_one_signature_for_every_checkpoint() -> None:
    # R the identity and S zero: S * B = R + k * A holds whatever k is. The library underneath lets it pass.
    identity = (1).to_bytes(32, "little")
    forged = identity + bytes(32)
    for head in (HEAD, OLD):
        Ed25519PublicKey.from_public_bytes(identity).verify(forged, head.body().encode())
        with pytest.raises(NoteInvalid):
            Vkey(ORIGIN, ED25519, identity).verify(forged, head)


def test_an_honest_key_is_not_called_weak() -> None:
    for number in range(50):
        public = Ed25519PrivateKey.from_private_bytes(bytes([number] * 32)).public_key().public_bytes_raw()
        assert edwards.defect(public) == ""
    off_the_curve = (2).to_bytes(32, "little")
    assert edwards.defect(off_the_curve) == "not on the curve"
    with pytest.raises(NoteInvalid):
        Vkey.parse(str(Vkey(ORIGIN, ED25519, off_the_curve)))


@pytest.mark.parametrize("witness", [CLASSIC, MODERN], ids=["Ed25519", "ML-DSA-44"])
def test_a_cosignature_holds_for_its_checkpoint_its_time_and_its_name_only(witness: Witness) -> None:
    line = witness.line(HEAD)
    assert line_of(line, HEAD, [CLASSIC.vkey, MODERN.vkey]).signed_at == NOON
    payload = base64.b64decode(line.split()[2])
    later = signed(payload[:4] + (NOON + 1).to_bytes(8) + payload[12:], witness.name)
    impossible = signed(payload[:4] + (2**63).to_bytes(8) + payload[12:], witness.name)
    renamed = line.replace(witness.name, "witness.example/other")
    other_root = Head(ORIGIN, 702, bytes(32))
    other_origin = Head("other.example/log", 702, HEAD.root)
    no_time = witness.line(HEAD, 0)
    cases: list[tuple[str, Head]] = [(text, HEAD) for text in (later, impossible, renamed, no_time, line * 2)]
    cases += [(line, OLD), (line, other_root), (line, other_origin)]
    for text, head in cases:
        with pytest.raises(NoteInvalid):
            line_of(text, head, [CLASSIC.vkey, MODERN.vkey])


def _plain_ed25519(name: str) -> str:
    """A line of type 0x01 by the witness' key: it has no time, so it is no cosignature."""
    assert isinstance(CLASSIC.key, Ed25519PrivateKey)
    vkey = Vkey(name, ED25519, CLASSIC.vkey.public_key)
    return Signature(name, vkey.key_id, CLASSIC.key.sign(HEAD.body().encode())).line()


def _as_cosignature_of_a_note() -> str:
    """A plain signature that claims to be a cosignature."""
    assert isinstance(CLASSIC.key, Ed25519PrivateKey)
    time = NOON.to_bytes(8)
    return Signature(CLASSIC.name, CLASSIC.vkey.key_id, time + CLASSIC.key.sign(HEAD.body().encode())).line()


@pytest.mark.parametrize("make", [_as_cosignature_of_a_note])
def test_a_signature_of_one_type_is_not_taken_for_another(make: Callable[[], str]) -> None:
    with pytest.raises(NoteInvalid):
        line_of(make(), HEAD, [CLASSIC.vkey])
    with pytest.raises(NoteInvalid):
        line_of(_plain_ed25519(CLASSIC.name), HEAD, [Vkey(CLASSIC.name, ED25519, CLASSIC.vkey.public_key)])


def test_the_witnesses_of_a_note_are_those_whose_lines_hold() -> None:
    found = cosignatures(NOTE, [MODERN.vkey, CLASSIC.vkey])
    assert [(one.vkey, one.signed_at) for one in found] == [(CLASSIC.vkey, NOON), (MODERN.vkey, NOON)]
    assert "".join(one.line for one in found) == "".join(_WITNESSES)
    assert cosignatures(note_of(HEAD), [CLASSIC.vkey]) == []
    for note in (note_of(HEAD) + CLASSIC.line(OLD), NOTE + CLASSIC.line(HEAD, NOON + 1)):
        with pytest.raises(NoteInvalid):
            cosignatures(note, [CLASSIC.vkey])


@pytest.mark.parametrize(
    ("defect", "sentence"),
    [
        ("CRLF everywhere", "control character"),
        ("U+0000", "control character"),
        ("a tab", "control character"),
        ("the final line feed missing", "line feed"),
        ("a leading zero", "size"),
        ("base64 with stray bits", "canonical base64"),
        ("signatures copied from an older checkpoint", "does not hold"),
        ("signed by a stranger under the log's name", "has 0 Ed25519 signatures"),
    ],
)
def test_the_refusal_says_what_is_wrong(defect: str, sentence: str) -> None:
    with pytest.raises(NoteInvalid, match=sentence):
        verify(FORGED[defect], KEYS.vkeys)


def test_half_of_a_surrogate_pair_is_no_note() -> None:
    with pytest.raises(NoteInvalid, match="UTF-8"):
        parse(NOTE.replace(ORIGIN, "tests.example/\ud800"))
