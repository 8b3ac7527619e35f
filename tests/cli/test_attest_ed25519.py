"""The client's own Ed25519: the RFC's vectors, another implementation, and what must never pass."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[2] / "cli"))

from countersign.ed25519 import verifies

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
#: RFC 8032 section 7.1: public key, message, signature (TEST 1, 2, 3, SHA(abc)).
VECTORS = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
        "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
        "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
        "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
        "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
#: Every encoding of a point whose order divides eight, canonical or not.
ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
SMALL = [
    (y | sign << 255).to_bytes(32, "little") for y in (1, P - 1, 0, ORDER_8, P - ORDER_8, P, P + 1) for sign in (0, 1)
]


@pytest.mark.parametrize(("key", "message", "signature"), VECTORS)
def test_the_vectors_of_rfc_8032_hold_and_no_neighbour_of_them(key: str, message: str, signature: str) -> None:
    public, data, signed = (bytes.fromhex(each) for each in (key, message, signature))
    assert verifies(public, data, signed)
    assert not verifies(public, data + b"x", signed)
    for position in range(64):
        flipped = bytearray(signed)
        flipped[position] ^= 1 << position % 8
        assert not verifies(public, data, bytes(flipped)), position


@given(st.binary(max_size=300))
def test_it_agrees_with_openssl(message: bytes) -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(message)
    assert verifies(public, message, signature)
    assert not verifies(os.urandom(32), message, signature)


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=64, max_size=64), st.binary(max_size=40))
def test_it_never_passes_what_openssl_refuses(public: bytes, signature: bytes, message: bytes) -> None:
    if verifies(public, message, signature):
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)


def test_a_second_form_of_the_same_signature_does_not_hold() -> None:
    key = Ed25519PrivateKey.generate()
    public, signature = key.public_key().public_bytes_raw(), key.sign(b"m")
    s = int.from_bytes(signature[32:], "little")
    for other in (s + L, s + 2 * L, s + 8 * L):
        assert not verifies(public, b"m", signature[:32] + other.to_bytes(32, "little"))


@pytest.mark.parametrize("public", SMALL, ids=lambda key: key.hex()[:8])
def test_a_key_of_small_order_signs_nothing(public: bytes) -> None:
    """Under such a key ``R = S·B`` with ``k·A`` the neutral point would hold for a share of all messages."""
    held = []
    for number in range(64):
        message = b"%d" % number
        for r in SMALL[:4]:
            held.append(verifies(public, message, r + bytes(32)))
    assert not any(held)


def test_such_a_key_is_refused_whatever_openssl_says_of_it() -> None:
    """OpenSSL accepts these bytes where it does not look at the order of the key; that must not matter here."""
    public, neutral = (1).to_bytes(32, "little"), (1).to_bytes(32, "little")
    with contextlib.suppress(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public).verify(neutral + bytes(32), b"anything")
    assert not verifies(public, b"anything", neutral + bytes(32))


@pytest.mark.parametrize("y", [P, P + 1, P + 3, 2**255 - 1])
def test_a_number_that_is_written_too_large_is_no_point(y: int) -> None:
    assert not verifies(y.to_bytes(32, "little"), b"m", bytes(64))


@pytest.mark.parametrize(("key", "signature"), [(b"", b""), (bytes(31), bytes(64)), (bytes(33), bytes(64))])
def test_other_lengths_are_refused(key: bytes, signature: bytes) -> None:
    assert not verifies(key, b"m", signature)
    assert not verifies(bytes.fromhex(VECTORS[0][0]), b"", bytes.fromhex(VECTORS[0][2]) + b"\0")
