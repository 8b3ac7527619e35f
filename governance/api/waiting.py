"""Long-polling: the request waits after its decision was recorded, outside every transaction.

The view records a decision as always and says with ``wait_for`` that a pending one may be waited for. The middleware,
outside the one that keeps answers in a transaction, then waits, and asks the gate again when the promotion changes.
What is kept for an Idempotency-Key is the first answer: an old «pending» does no harm.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.response import HttpResponseBase
from rest_framework.exceptions import APIException, AuthenticationFailed

from audit.refusals import Refusal
from governance import gate, tokens, waiting
from governance.api import answers
from governance.api.authentication import token_user
from governance.api.idempotency import problem
from governance.models.decision import Outcome
from governance.models.roles import Action
from governance.models.user import User
from registry.models import Environment, ModelVersion

#: Seconds after which a caller for whom there was no place may ask again.
_AGAIN = 5


@dataclass(frozen=True)
class Question:
    """What is asked again once the promotion changes."""

    version: ModelVersion
    environment: Environment
    action: str
    target: Mapping[str, Any] | None = None
    rollout: Mapping[str, Any] | None = None
    ci: Mapping[str, str] | None = None

    def ask(self, user: User) -> gate.Answer:
        """Decide now, and record it. Raises what ``gate.check`` raises."""
        return self._check(user, dry_run=False)

    def try_out(self, user: User) -> gate.Answer:
        """Decide now, and record nothing."""
        return self._check(user, dry_run=True)

    def _check(self, user: User, *, dry_run: bool) -> gate.Answer:
        return gate.check(
            self.version,
            self.environment,
            action=self.action,
            target=self.target,
            rollout=self.rollout,
            dry_run=dry_run,
            ci=self.ci,
            by=user.actor,
        )

    def mark(self) -> waiting.Mark:
        """How what it waits for stands now."""
        return waiting.mark_of(self.version, self.environment)


@dataclass(frozen=True)
class _Wait:
    question: Question
    before: waiting.Mark
    seconds: float


def wait_for(response: HttpResponseBase, question: Question, *, before: waiting.Mark, seconds: float) -> None:
    """Called by a view whose answer is pending. ``before`` was looked up before the decision was made."""
    response._wait = _Wait(question, before, seconds)  # type: ignore[attr-defined]


class WaitMiddleware:
    """Stands outside IdempotencyMiddleware. Without a place, and inside a transaction, the answer stays «pending»."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        wait: _Wait | None = getattr(response, "_wait", None)
        if wait is None or response.status_code != 200 or connection.in_atomic_block:
            return response
        with waiting.place() as taken:
            if not taken:
                response["Retry-After"] = str(_AGAIN)
                return response
            try:
                return _answer(request, wait) or response
            except (Refusal, APIException, DatabaseError) as error:
                return problem(error, request)


def _answer(request: HttpRequest, wait: _Wait) -> HttpResponse | None:
    """The newest answer, decided as soon as the promotion changes; None when nothing changed in time."""
    ends, before, newest = waiting.ends_in(wait.seconds), wait.before, None
    while (now := waiting.until_changed(wait.question.mark, before, ends=ends)) is not None:
        before = now
        answer = wait.question.ask(_still_allowed(request))
        newest = JsonResponse(answers.gate_answer(answer), headers={"Cache-Control": "no-store"})
        if answer.verdict.outcome != Outcome.PENDING:
            return newest
    return newest


def _still_allowed(request: HttpRequest) -> User:
    """Who asked, looked up anew: a token that was revoked meanwhile gets no permit."""
    request._token_user = None  # type: ignore[attr-defined]
    try:
        user = token_user(request)
    except tokens.TokenRefused as refused:
        raise AuthenticationFailed(refused.sentence, code=refused.code) from refused
    if user is None:
        user = User.objects.filter(pk=request.user.pk, is_active=True).first()
    if user is None:
        raise AuthenticationFailed
    user.require(str(Action.GATE_CHECK))
    return user
