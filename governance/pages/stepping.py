"""One step about one thing: done, and its page says so; refused, and its page says why."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from audit.refusals import NotKnown, Refusal
from governance.models.user import User
from governance.pages.person import signed_in

#: Shows the page of the thing with this reference, with a refusal.
Page = Callable[[HttpRequest, str, Refusal], HttpResponse]


def step(
    request: HttpRequest, reference: str, do: Callable[[User], object], said: str, *, page: Page, to: str
) -> HttpResponse:
    """Let the signed-in person ``do`` it and send them to the page named ``to`` with ``said``. Raises ``NotKnown``."""
    user = signed_in(request, "promotion.read")
    try:
        do(user)
    except NotKnown:
        raise
    except Refusal as refusal:
        return page(request, reference, refusal)
    messages.success(request, said)
    return redirect(to, reference)
