"""Which 32 bytes are an Ed25519 public key that a signature can be trusted under (RFC 8032 section 5.1.3).

Under a key of small order one signature holds for many messages, and two encodings of one key would be two names for
one signer. Verification libraries differ in what they refuse, so such keys are refused before they are used.
"""

from __future__ import annotations

_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_ORDER_8 = 2707385501144840649318225287225658788936804267575313519463743609750303402022
#: The y of the eight points whose order divides eight: order 1, 2, 4, and two of order 8.
_SMALL_ORDER = frozenset({1, _P - 1, 0, _ORDER_8, _P - _ORDER_8})


def defect(public_key: bytes) -> str:
    """Why 32 bytes are no key to trust: «not canonical», «of small order» or «not on the curve». Empty: it is sound."""
    y = int.from_bytes(public_key, "little") & (1 << 255) - 1
    if y >= _P:
        return "not canonical"
    if y in _SMALL_ORDER:
        return "of small order"
    x_squared = (y * y - 1) * pow(_D * y * y + 1, -1, _P)
    return "" if pow(x_squared, (_P - 1) // 2, _P) == 1 else "not on the curve"
