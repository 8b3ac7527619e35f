"""Accounts: erasing a person."""

from __future__ import annotations

from typing import Any, ClassVar
from uuid import UUID

from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from audit import erasure as log_erasure
from audit.refusals import NotKnown
from governance import erasure
from governance.api.caller import caller
from governance.api.serializers import ErasureRequest
from governance.models.user import User


class AccountErasure(APIView):
    """Erase a person, with the caller's password again; a token cannot. It cannot be undone.

    ``state`` is «decided» while the log's values still wait to be erased, then «erased»; ``entry`` is the number of the
    entry that erased them, null until it is sequenced.
    """

    required_action: ClassVar[dict[str, str]] = {"GET": "account.erase", "POST": "account.erase"}

    @extend_schema(operation_id="account_erasure_retrieve", responses={200: OpenApiTypes.OBJECT})
    def get(self, request: Request, uuid: UUID) -> Response:
        return Response(_state(uuid))

    @extend_schema(operation_id="account_erasure_create", request=ErasureRequest, responses={202: OpenApiTypes.OBJECT})
    def post(self, request: Request, uuid: UUID) -> Response:
        body = ErasureRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        erasure.erase_with_password(uuid, **asked, user=caller(request), request=request._request)
        return Response(_state(uuid), status=202)


def _state(uuid: UUID) -> dict[str, Any]:
    account = User.objects.filter(uuid=uuid).first()
    if account is None:
        raise NotKnown(_("There is no account %s.") % uuid, code="account.unknown")
    done = log_erasure.newest(account.subject) if account.erased_at else None
    return {
        "account": str(account.uuid),
        "subject": account.subject,
        "state": "erased" if done else "decided" if account.erased_at else "kept",
        "decided_at": account.erased_at,
        "values": done.values if done else None,
        "entry": done.index if done else None,
    }
