"""Two proofs with one code, or one answer of a passkey, at the same instant, on the real database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from django.db import connections
from django.test import RequestFactory

from audit.refusals import NotPermitted
from governance import factors, passkeys, sessions, totp
from governance.models import FactorUse, SecondFactor
from tests import personas
from tests.conftest import CommittedDatabase
from tests.governance.authenticator import HOST, Authenticator
from tests.governance.keyholder import NOON, enrolled, next_code

AT_ONCE = 6


def _together(prove: Callable[[], sessions.Proof]) -> list[str]:
    """What each of the threads got: a word for proved, else the sentence."""
    found: list[str] = []
    start = threading.Barrier(AT_ONCE)

    def one() -> None:
        start.wait(10)
        try:
            prove()
            found.append("proved")
        except NotPermitted as refusal:
            found.append(refusal.code)
        finally:
            connections.close_all()

    threads = [threading.Thread(target=one) for _each in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def test_one_code_proves_once(committed_db: CommittedDatabase, monkeypatch: Any) -> None:
    class Noon:
        @staticmethod
        def now() -> Any:
            return NOON

    monkeypatch.setattr(totp, "timezone", Noon)
    secret, layla = enrolled(), personas.get("layla")
    found = _together(lambda: sessions.prove(layla, personas.PASSWORD, code=next_code(secret)))
    assert sorted(found) == ["proved"] + ["session.second_factor"] * (AT_ONCE - 1)


def test_one_answer_of_a_passkey_proves_once(committed_db: CommittedDatabase, settings: Any) -> None:
    settings.PUBLIC_URL = HOST
    layla, key = personas.get("layla"), Authenticator()
    options = passkeys.ask_to_register(layla, session="s", path="/register")
    factors.register_passkey(layla, key.make(options), label="Key", session="s", path="/register", by=layla.actor)
    answer = key.answer(passkeys.ask(layla, session="s", path="/sign"))

    def prove() -> sessions.Proof:
        request: Any = RequestFactory().post("/sign")
        request.session = type("Session", (), {"session_key": "s"})()
        return sessions.prove(layla, assertion=answer, request=request)

    found = _together(prove)
    assert found.count("proved") == 1
    assert set(found) <= {"proved", "session.second_factor", "session.throttled"}
    assert FactorUse.objects.get(factor=SecondFactor.objects.get()).newest == 1
