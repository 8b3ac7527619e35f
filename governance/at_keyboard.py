"""What a person at the keyboard proves their presence with; ``sessions.with_password`` takes exactly this."""

from __future__ import annotations

from typing import NotRequired, TypedDict

from django.http import HttpRequest

from governance.models.user import User


class AtKeyboard(TypedDict):
    """The password again, and a code or a passkey's answer where the person enrolled a second factor."""

    password: str
    code: NotRequired[str]
    assertion: NotRequired[str]
    user: User
    request: HttpRequest
