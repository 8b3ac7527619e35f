"""What a passkey is asked before it can answer."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from governance import passkeys, sessions, signoffs
from governance.api.caller import caller
from governance.api.serializers import ChallengeRequest


class Challenges(APIView):
    """Ask for the challenge that a passkey of the caller signs; in a browser's session only.

    ``options`` goes to ``navigator.credentials.get``. For a signature on a promotion ``document`` is what will be
    signed: the challenge is the SHA-256 of its canonical form. It is used up by the first answer that is sent to
    ``path``, and is over after three minutes.
    """

    required_action: ClassVar[dict[str, str]] = {"POST": "promotion.read"}

    @extend_schema(request=ChallengeRequest, responses={201: OpenApiTypes.OBJECT})
    def post(self, request: Request) -> Response:
        body = ChallengeRequest(data=request.data)
        body.is_valid(raise_exception=True)
        asked: dict[str, Any] = body.validated_data
        me, about = caller(request), asked.get("signoff")
        document, salt = signoffs.to_be_signed(**about, by=me.actor) if about else (None, b"")
        options = passkeys.ask(
            me, session=sessions.session_of(request._request), path=asked["path"], document=document, salt=salt
        )
        return Response({"options": options, "document": document}, status=201)
