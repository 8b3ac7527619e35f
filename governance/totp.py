"""Codes of an authenticator app (RFC 6238): six digits, thirty seconds, HMAC-SHA-1, as every app understands them.

The secret is stored encrypted with AES-256-GCM (NIST SP 800-38D) under a key derived with HKDF-SHA256 (RFC 5869) from
the installation's secret, bound to its person: who reads the table, or moves a row to another person, has nothing.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator

import pyotp
import segno
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from pyotp.utils import strings_equal

from governance.models.factor import FactorUse, SecondFactor
from governance.models.user import User

#: Steps of thirty seconds that a clock may be wrong, either way.
DRIFT = 1
_NONCE = 12
_PURPOSE = b"countersign/totp/v1"


class CodeRefused(Exception):  # noqa: N818
    """The code proves nothing; the message is for the person."""


class Unreadable(Exception):  # noqa: N818
    """No secret of the installation opens this."""


def fresh_secret() -> str:
    """160 random bits as Base32 (RFC 4226 section 4, R6)."""
    return pyotp.random_base32()


def address(secret: str, owner: User) -> str:
    """``otpauth://totp/…``: what authenticator apps read."""
    return pyotp.TOTP(secret).provisioning_uri(name=owner.username, issuer_name="Countersign")


def drawn(address: str) -> str:
    """The address as a QR code (ISO/IEC 18004): an SVG element, dark on white in every theme.

    White must be drawn, with the four modules of quiet zone around: cameras do not find a code on a dark page.
    """
    code = segno.make(address, error="m", micro=False)
    return code.svg_inline(scale=5, border=4, dark="#000", light="#fff", svgclass=None, lineclass=None)


def seal(secret: str, owner: User) -> bytes:
    """The secret encrypted for ``owner``: 12 bytes of nonce, then ciphertext with its tag."""
    nonce = os.urandom(_NONCE)
    return nonce + next(_ciphers()).encrypt(nonce, secret.encode(), owner.uuid.bytes)


def unseal(sealed: bytes, owner: User) -> str:
    """The secret again. Raises ``Unreadable``, also when it was sealed for somebody else."""
    for cipher in _ciphers():
        try:
            return cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], owner.uuid.bytes).decode()
        except (InvalidTag, ValueError):
            continue
    raise Unreadable


def _ciphers() -> Iterator[AESGCM]:
    """With the installation's secret first, then those that it replaced and still accepts."""
    for secret in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS):
        derive = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE)
        yield AESGCM(derive.derive(secret if isinstance(secret, bytes) else secret.encode()))


def step_of(secret: str, code: str) -> int | None:
    """The time step of thirty seconds for which ``code`` holds, now or a step away; None for a wrong code."""
    app = pyotp.TOTP(secret)
    digits = unicodedata.normalize("NFKC", "".join(code.split()))
    now = app.timecode(timezone.now())
    found = [step for step in range(now - DRIFT, now + DRIFT + 1) if strings_equal(app.generate_otp(step), digits)]
    return max(found, default=None)


def accept(factor: SecondFactor, code: str) -> None:
    """Use ``code`` up: it, and every earlier one, never proves anything again. Raises ``CodeRefused``.

    Call it outside the transaction of the change that it is for: a code stays used when the change is rolled back.
    """
    try:
        secret = unseal(bytes(factor.sealed or b""), factor.owner)
    except Unreadable as error:
        raise CodeRefused(
            _(
                "Your authenticator app cannot be checked any more: the installation has another secret by now. "
                "Ask an administrator to remove it, and enrol it again."
            )
        ) from error
    step = step_of(secret, code)
    if step is None:
        raise CodeRefused(_("The code of your authenticator app is wrong or too old; nothing was signed."))
    if not use(factor, step):
        raise CodeRefused(_("This code was used already. Wait for the next one; nothing was signed."))


def use(factor: SecondFactor, newest: int) -> bool:
    """Note the step as the newest that was accepted; False when one as new was accepted before, by whomever."""
    with transaction.atomic():
        if FactorUse.objects.filter(factor=factor, newest__lt=newest).update(newest=newest, at=timezone.now()):
            return True
    try:
        with transaction.atomic():
            FactorUse.objects.create(factor=factor, newest=newest)
    except IntegrityError:
        return False
    return True
