"""What the OpenAPI document says beyond the views: how to authenticate, and what an error looks like."""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

_PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "Problem details, RFC 9457.",
    "required": ["type", "title", "status", "detail", "code", "request_id"],
    "properties": {
        "type": {"type": "string", "format": "uri", "examples": ["urn:countersign:problem:input.invalid"]},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence that says what was wrong and how to mend it."},
        "code": {"type": "string", "description": "A stable machine word."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["detail"],
                "properties": {
                    "detail": {"type": "string"},
                    "pointer": {"type": "string", "description": "JSON pointer into the body, RFC 6901."},
                    "code": {"type": "string"},
                },
            },
        },
    },
}
_ANSWERS = {
    "400": "The request cannot be understood.",
    "401": "No credentials, or they prove nothing.",
    "403": "This account may not do this.",
    "404": "What the request names is not known.",
    "409": "The subject is no longer in the expected state.",
    "422": "Well-formed and permitted, but the facts forbid it.",
    "503": "Nothing was written; repeat the request.",
}
_READING = {"400", "401", "403", "404", "503"}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "governance.api.authentication.TokenAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "csn_<identifier>_<secret>"}


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "governance.api.authentication.SessionAuthentication"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, Any]:
        return {"type": "apiKey", "in": "cookie", "name": "sessionid"}


def add_problem_responses(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:
    """Post-processing hook: every operation lists its problem documents, and POST its Idempotency-Key."""
    result.setdefault("components", {}).setdefault("schemas", {})["Problem"] = _PROBLEM
    content = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for operations in result.get("paths", {}).values():
        for method, operation in operations.items():
            answers = _READING if method == "get" else set(_ANSWERS)
            for status in sorted(answers):
                operation["responses"].setdefault(status, {"description": _ANSWERS[status], "content": content})
            if method == "post":
                operation.setdefault("parameters", []).append(
                    {
                        "name": "Idempotency-Key",
                        "in": "header",
                        "schema": {"type": "string", "minLength": 1, "maxLength": 255},
                        "description": "The same key and body within seven days get the first answer again.",
                    }
                )
    return result


class HookScheme(BearerScheme):  # type: ignore[no-untyped-call]
    """``/hooks/``: the same tokens, also as the password of the address."""

    target_class = "governance.api.hooks.HookAuthentication"
    name = "hookToken"
