"""A real browser with a virtual authenticator (CDP WebAuthn): register a passkey, sign with it, and with it gone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from governance import personal
from governance.models import SecondFactor, SignOff
from tests import personas
from tests.browser.conftest import serving_pages, sign_in
from tests.conftest import CommittedDatabase
from tests.governance import scene

AUTHENTICATOR = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


@pytest.fixture
def address(committed_db: CommittedDatabase, settings: Any) -> Iterator[str]:
    """The bank's server under a name: browsers give no passkeys to addresses."""
    with serving_pages() as url:
        settings.PUBLIC_URL = f"http://localhost:{urlsplit(url).port}"
        yield settings.PUBLIC_URL


@pytest.fixture
def tab(browser: Browser, address: str) -> Iterator[Page]:
    """Layla's tab; the browser says nothing, and runs nothing that the policy forbids."""
    personas.get("layla")
    context = browser.new_context()
    sign_in(context, address, "layla")
    page = context.new_page()
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text) if "Security Policy" in message.text else None)
    yield page
    context.close()
    assert said == []


def authenticator(tab: Page, **change: bool) -> Any:
    """A virtual authenticator in this tab; ``isUserVerified=False`` is one whose holder fails."""
    session = tab.context.new_cdp_session(tab)
    session.send("WebAuthn.enable")
    made = session.send("WebAuthn.addVirtualAuthenticator", {"options": {**AUTHENTICATOR, **change}})
    return session, made["authenticatorId"]


def register(tab: Page, address: str) -> None:
    tab.goto(f"{address}/account/factors")
    tab.fill("#passkey-password", personas.PASSWORD)
    tab.get_by_role("button", name="Register a passkey").click()
    tab.fill("#make-label", "Laptop")
    tab.get_by_role("button", name="Make the passkey").click()
    tab.wait_for_url("**/account/factors")


def test_a_person_registers_a_passkey_and_signs_a_promotion_with_nothing_else(tab: Page, address: str) -> None:
    bank = scene.build()
    promotion = scene.request(bank)
    authenticator(tab)
    register(tab, address)
    assert "nobody else can have signed for you" in tab.inner_text("main")
    assert SecondFactor.objects.get().label == "Laptop"
    tab.goto(f"{address}/promotions/{promotion.pk}")
    tab.fill("#sign-comment", "Looked at the calibration curve.")
    tab.locator("#sign").get_by_role("button", name="Sign with my passkey").click()
    tab.wait_for_selector("text=You signed this promotion.")
    assert "Signed with a personal key: verified." in tab.inner_text("main")
    row = SignOff.objects.select_related("personal__factor").get()
    assert row.factors == ["passkey"]
    assert personal.verified([row])[row.pk].verified


def test_a_delegate_signs_with_a_passkey_what_names_the_delegation(tab: Page, address: str) -> None:
    bank = scene.build()
    scene.signed_in_staging()
    lent = scene.lend("omar", "compliance_officer", "layla")
    promotion = scene.request(bank, place=bank.staging)
    authenticator(tab)
    register(tab, address)
    tab.goto(f"{address}/promotions/{promotion.pk}")
    tab.select_option("#sign [name=role]", f"compliance_officer@{lent.reference}")
    tab.fill("#sign-comment", "Looked at it for Omar.")
    tab.locator("#sign").get_by_role("button", name="Sign with my passkey").click()
    tab.wait_for_selector("text=You signed this promotion.")
    row = SignOff.objects.select_related("personal__factor", "delegation").get()
    assert (row.delegation, row.role, row.factors) == (lent, "compliance_officer", ["passkey"])
    assert row.personal.document["delegation"] == lent.reference
    assert personal.verified([row])[row.pk].verified


def test_the_comment_is_asked_for_before_the_key_and_the_subject_must_be_the_one_of_now(
    tab: Page, address: str
) -> None:
    bank = scene.build()
    promotion = scene.request(bank)
    authenticator(tab)
    register(tab, address)
    tab.goto(f"{address}/promotions/{promotion.pk}")
    panel = tab.locator("#sign")
    panel.get_by_role("button", name="Sign with my passkey").click()
    assert tab.evaluate("document.activeElement.id") == "sign-comment"
    tab.fill("#sign-comment", "Looked.")
    tab.evaluate("document.querySelector('#sign [name=subject_digest]').value = 'sha256:' + '0'.repeat(64)")
    panel.get_by_role("button", name="Sign with my passkey").click()
    panel.get_by_text("What you reviewed has changed").wait_for()
    assert not SignOff.objects.exists()


def test_a_holder_who_is_not_verified_signs_nothing_and_is_told(tab: Page, address: str) -> None:
    bank = scene.build()
    promotion = scene.request(bank)
    session, made = authenticator(tab)
    register(tab, address)
    session.send("WebAuthn.setUserVerified", {"authenticatorId": made, "isUserVerified": False})
    tab.goto(f"{address}/promotions/{promotion.pk}")
    tab.fill("#sign-comment", "Looked.")
    panel = tab.locator("#sign")
    panel.get_by_role("button", name="Sign with my passkey").click()
    panel.get_by_text("The passkey gave no answer.").wait_for()
    assert not SignOff.objects.exists()


def test_without_scripts_the_page_offers_password_and_code_alone(browser: Browser, address: str) -> None:
    personas.get("layla")
    context = browser.new_context(java_script_enabled=False)
    sign_in(context, address, "layla")
    page = context.new_page()
    page.goto(f"{address}/account/factors")
    page.fill("#app-password", personas.PASSWORD)
    page.get_by_role("button", name="Show its secret").click()
    assert "otpauth://totp/Countersign" in page.inner_text("main")
    assert page.locator("#confirm-code").is_visible()
    context.close()
