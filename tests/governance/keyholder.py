"""What a person with a passkey or an authenticator app does, with both of them in software."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pyotp
from django.test import Client
from django.utils import timezone

from governance import factors, totp
from governance.models import Promotion, SignOff
from tests import personas
from tests.governance import scene
from tests.governance.authenticator import Authenticator
from tests.governance.scene import Bank

#: In the middle of a step of thirty seconds.
NOON = datetime(2026, 11, 23, 12, 0, 15, tzinfo=timezone.get_fixed_timezone(0))
REGISTER = "/account/factors/passkey/register"


def registered(client: Client, key: Authenticator | None = None, password: str = personas.PASSWORD) -> Authenticator:
    """A passkey registered on the page, by whoever that browser is."""
    made = key or Authenticator()
    page = client.post("/account/factors/passkey", {"password": password})
    assert page.status_code == 200, page.content.decode()
    options = json.loads(page.context["options"])
    answer = client.post(REGISTER, {"credential": made.make(options), "label": "Laptop"})
    assert answer.status_code == 302, answer.content.decode()
    return made


def form_of(promotion: Promotion, **change: str) -> dict[str, str]:
    shown = scene.latest(promotion).subject_digest
    given = {"meaning": "approve", "role": "ml_lead", "comment": "Checked.", "subject_digest": shown}
    return given | change


def asked(client: Client, path: str, promotion: Promotion | None = None, **change: str) -> dict[str, Any]:
    """What the server asks the passkey."""
    body: dict[str, Any] = {"path": path}
    if promotion is not None:
        body["signoff"] = {"promotion": promotion.pk, **form_of(promotion, **change)}
    answer = client.post("/api/v1/account/challenges", body, content_type="application/json")
    assert answer.status_code == 201, answer.content.decode()
    return dict(answer.json())


def sign(client: Client, promotion: Promotion, key: Authenticator, **change: str) -> Any:
    """Sign with the passkey alone, as the page's button does."""
    path = f"/promotions/{promotion.pk}/sign"
    options = asked(client, path, promotion)["options"]
    return client.post(path, {**form_of(promotion), "assertion": key.answer(options), **change})


def signed(bank: Bank, client: Client) -> tuple[Promotion, SignOff, Authenticator]:
    promotion, key = scene.request(bank), registered(client)
    assert sign(client, promotion, key).status_code == 302
    return promotion, SignOff.objects.get(), key


def enrolled(name: str = "layla", at: datetime = NOON) -> str:
    """That persona has an authenticator app; its secret. The first code is used up."""
    user, secret = personas.get(name), totp.fresh_secret()
    factors.enrol_app(user, secret, code(secret, at), by=user.actor)
    return secret


def code(secret: str, at: datetime = NOON) -> str:
    return pyotp.TOTP(secret).at(at)


def next_code(secret: str, seconds: float = 30) -> str:
    return code(secret, NOON + timedelta(seconds=seconds))
