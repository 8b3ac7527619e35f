"""The public keys of attestations and permits, for everybody."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from governance.models.attestation_key import AttestationKey


@login_not_required
@require_safe
def attestation_keys(_request: HttpRequest) -> JsonResponse:
    """A JWK Set (RFC 7517) of octet key pairs (RFC 8037), the newest first. Retired keys stay in it."""
    keys = [_jwk(row) for row in AttestationKey.objects.all()]
    return JsonResponse({"keys": keys}, headers={"Cache-Control": "public, max-age=300"})


def _jwk(row: AttestationKey) -> dict[str, Any]:
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "x": row.public_key,
        "kid": row.kid,
        "use": "sig",
        "alg": "EdDSA",
        "status": "active" if row.last_used_at is None else "retired",
        "first_used_at": f"{row.first_used_at:%Y-%m-%dT%H:%M:%SZ}",
        "last_used_at": f"{row.last_used_at:%Y-%m-%dT%H:%M:%SZ}" if row.last_used_at else None,
    }
