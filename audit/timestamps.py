"""Timestamps of checkpoints by an authority outside (RFC 3161, EKU and certificate profile of RFC 5816).

What is stamped is the SHA-256 of the whole note: the three lines, the empty line and the log's own signature lines.
The whole TimeStampResp is kept in ``audit.anchor`` (kind ``rfc3161``), so that anybody can verify it with
``openssl ts -verify -in checkpoint.tsr -data checkpoint -CAfile roots.pem``.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from django.conf import settings
from django.utils.translation import gettext as _
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from audit.outgoing import NotDelivered, post
from audit.publication import Checkpoint

#: Seconds by which a new timestamp may differ from our clock.
TOLERANCE = 120
_SHA256 = "2.16.840.1.101.3.4.2.1"
_OPENSSL_PATIENCE = 20
_STAMPED = re.compile(r"^Time stamp: (\w{3} +\d+ \d\d:\d\d:\d\d)(?:\.\d+)? (\d{4}) GMT$", re.M)


class TimestampInvalid(Exception):  # noqa: N818
    """The token is not a timestamp of this note by a trusted authority; the text is a sentence."""


class TimestampUnverified(Exception):  # noqa: N818
    """Nothing here can read the token: neither the strict parser nor ``openssl``. It may be fine, it is not shown."""


@dataclass(frozen=True, slots=True)
class Stamp:
    """``at`` (UTC) is the authority's time; ``verifier`` is ``rfc3161-client`` or ``openssl``."""

    at: datetime
    verifier: str


def verify(note: str, token: bytes, roots: bytes, *, query: bytes | None = None, nonce: int | None = None) -> Stamp:
    """Verify a TimeStampResp over ``note``: imprint, signature, critical EKU timeStamping, chain to ``roots`` (PEM).

    With ``nonce`` (and the request ``query`` in DER for openssl) the answer must also repeat the nonce. Certificates
    need to have been valid at the time of the stamp, not today. Raises ``TimestampInvalid`` or ``TimestampUnverified``.
    """
    try:
        anchors = x509.load_pem_x509_certificates(roots)
    except ValueError as error:
        raise TimestampUnverified(_("TIMESTAMP_ROOTS holds no certificate in PEM.")) from error
    try:
        answer = decode_timestamp_response(token)
        at = _claimed(answer)
    except ValueError as strict:
        # Authorities that follow openssl write their certificates in another order than DER asks for.
        return _by_openssl(note, token, roots, query, str(strict))
    verifier = VerifierBuilder(roots=anchors, nonce=nonce).build()
    try:
        if answer.tst_info.message_imprint.hash_algorithm.dotted_string != _SHA256:
            raise VerificationError("the hash is not SHA-256")
        verifier.verify_message(answer, note.encode())
    except (VerificationError, ValueError) as error:
        raise TimestampInvalid(_("The timestamp does not hold: %(problem)s.") % {"problem": error}) from error
    return Stamp(at, "rfc3161-client")


def stamp(checkpoint: Checkpoint) -> bytes:
    """Have the note stamped by TIMESTAMP_URL; returns the verified TimeStampResp. Raises ``NotDelivered``."""
    roots = _roots()
    request = (
        TimestampRequestBuilder()
        .data(checkpoint.note.encode())
        .hash_algorithm(HashAlgorithm.SHA256)
        .nonce(nonce=True)
        .cert_request(cert_request=True)
        .build()
    )
    query = request.as_bytes()
    headers = {"Content-Type": "application/timestamp-query", "Accept": "application/timestamp-reply"}
    reply = post(settings.TIMESTAMP_URL, query, headers)
    if reply.status != 200:
        raise NotDelivered(
            "unreachable" if reply.status >= 500 else "refused",
            _("The authority answered with status %(status)d.") % {"status": reply.status},
        )
    try:
        made = verify(checkpoint.note, reply.body, roots, query=query, nonce=request.nonce)
    except (TimestampInvalid, TimestampUnverified) as error:
        raise NotDelivered("invalid", str(error)) from error
    if abs((made.at - datetime.now(UTC)).total_seconds()) > TOLERANCE:
        sentence = _("The authority's time differs from this server's by more than two minutes. Compare the clocks.")
        raise NotDelivered("invalid", sentence)
    return reply.body


def _roots() -> bytes:
    path = settings.TIMESTAMP_ROOTS
    if not path:
        sentence = _("Set TIMESTAMP_ROOTS to the authority's root certificates (PEM): nothing unverified is kept.")
        raise NotDelivered("refused", sentence)
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise NotDelivered(
            "refused", _("TIMESTAMP_ROOTS cannot be read: %(why)s.") % {"why": error.strerror}
        ) from error


def _claimed(answer: TimeStampResponse) -> datetime:
    """The time in the answer. Raises ``TimestampInvalid`` when it was refused, ``ValueError`` without a token."""
    if answer.status != 0:
        why = "; ".join(answer.status_string)[:200]
        raise TimestampInvalid(
            _("The authority did not grant the timestamp (status %(status)d). %(why)s")
            % {"status": answer.status, "why": why}
        )
    return answer.tst_info.gen_time.astimezone(UTC)


def _by_openssl(note: str, token: bytes, roots: bytes, query: bytes | None, strict: str) -> Stamp:
    """The second verifier, over files in a private folder."""
    with tempfile.TemporaryDirectory(prefix="countersign-tsr-") as name:
        folder = Path(name)
        for file, data in (("token.tsr", token), ("note", note.encode()), ("roots.pem", roots), ("q", query or b"")):
            (folder / file).write_bytes(data)
        printed = _openssl(folder, strict, "-reply", "-in", "token.tsr", "-text")
        found = _STAMPED.search(printed.stdout)
        if printed.returncode or not found:
            raise TimestampInvalid(_("The answer is no timestamp: %(problem)s.") % {"problem": strict[:300]})
        at = datetime.strptime(f"{found[1]} {found[2]}", "%b %d %H:%M:%S %Y").replace(tzinfo=UTC)
        about = ["-queryfile", "q"] if query else ["-data", "note"]
        checked = ["-verify", "-in", "token.tsr", *about, "-CAfile", "roots.pem", "-attime", str(int(at.timestamp()))]
        if _openssl(folder, strict, *checked).returncode:
            raise TimestampInvalid(_("The timestamp does not hold: openssl refuses it."))
    return Stamp(at, "openssl")


def _openssl(folder: Path, strict: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["openssl", "ts", *arguments],
            cwd=folder,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=_OPENSSL_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise TimestampUnverified(
            _("The timestamp could not be read strictly (%(problem)s), and openssl is not at hand.")
            % {"problem": strict[:300]}
        ) from error
