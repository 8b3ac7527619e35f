"""Verifying Ed25519 signatures (RFC 8032, section 5.1.7) with integers alone. Pure; signs nothing, holds no secrets.

Strict where the RFC leaves room: every number has one encoding, and a key whose order divides eight is refused, since
one signature holds for many messages under it. Nothing here is constant-time, and nothing has to be.
"""

from __future__ import annotations

import hashlib

_P = 2**255 - 19
#: The order of the base point.
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, -1, _P) % _P
_SQRT_MINUS_1 = pow(2, (_P - 1) // 4, _P)

#: A point as (X, Y, Z, T) with x = X/Z, y = Y/Z, xy = T/Z (section 5.1.4).
_Point = tuple[int, int, int, int]
_NEUTRAL: _Point = (0, 1, 1, 0)
_BASE_X = 15112221349535400772501151409588531511454012693041857206046113283949847762202
_BASE_Y = 46316835694926478169428394003475163141307993866256225615783033603165251855960
_BASE: _Point = (_BASE_X, _BASE_Y, 1, _BASE_X * _BASE_Y % _P)


def verifies(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the 64 bytes of ``signature`` are the key's signature of ``message``. Never raises."""
    if len(public_key) != 32 or len(signature) != 64:
        return False
    key = _decoded(public_key)
    s = int.from_bytes(signature[32:], "little")
    if key is None or s >= _L or _has_small_order(key):
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + public_key + message).digest(), "little") % _L
    # The point that signs is compared as it is encoded, so another encoding of the same point does not pass.
    return _encoded(_sum_of_products(s, _BASE, k, _negative(key))) == signature[:32]


def _decoded(data: bytes) -> _Point | None:
    """The point that 32 bytes encode, or None (section 5.1.3)."""
    number = int.from_bytes(data, "little")
    sign, y = number >> 255, number & (1 << 255) - 1
    if y >= _P:
        return None
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P == -u % _P:
        x = x * _SQRT_MINUS_1 % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None
    if x & 1 != sign:
        x = _P - x
    return x, y, 1, x * y % _P


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], -1, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


def _plus(one: _Point, other: _Point) -> _Point:
    """The complete addition law of section 5.1.4: it holds for equal points too."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % _P
    b = (one[1] + one[0]) * (other[1] + other[0]) % _P
    c = 2 * one[3] * other[3] * _D % _P
    d = 2 * one[2] * other[2] % _P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % _P, g * h % _P, f * g % _P, e * h % _P


def _negative(point: _Point) -> _Point:
    return -point[0] % _P, point[1], point[2], -point[3] % _P


def _sum_of_products(s: int, one: _Point, k: int, other: _Point) -> _Point:
    """``s`` times one point plus ``k`` times another, by doubling once for both."""
    table = (None, one, other, _plus(one, other))
    total = _NEUTRAL
    for bit in range(max(s.bit_length(), k.bit_length()) - 1, -1, -1):
        total = _plus(total, total)
        step = table[(s >> bit & 1) | (k >> bit & 1) << 1]
        if step is not None:
            total = _plus(total, step)
    return total


def _has_small_order(point: _Point) -> bool:
    for _doubling in range(3):
        point = _plus(point, point)
    return point[0] == 0 and point[1] == point[2]
