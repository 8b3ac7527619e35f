"""An alias that is moved with the record of a deploy or a rollback, by API and on the page."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from django.test import Client
from django.urls import reverse

from audit import queries as log
from governance.models.permit import Permit
from registry import aliases, deployments
from registry.models import Alias, Deployment
from tests.governance import scene
from tests.governance.scene import Bank

Api = Callable[[str], Client]


def post(client: Client, path: str, body: object) -> Any:
    return client.post(path, json.dumps(body), content_type="application/json")


def permitted(bank: Bank, client: Client) -> dict[str, str]:
    """What a pipeline sends after an allow."""
    scene.approved(bank)
    asked = {"model": {"name": "credit-scoring", "version": "14"}, "environment": "prod-uae"}
    answer = post(client, "/api/v1/gate/checks", asked).json()
    return {"decision_id": answer["decision_id"], "permit": answer["permit"]["secret"], "environment": "prod-uae"}


def test_a_deploy_and_a_rollback_point_it_at_what_they_record(bank: Bank, api_for: Api) -> None:
    ci = api_for("ci")
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    answer = post(ci, "/api/v1/deployments", {**permitted(bank, ci), "alias": "champion"})
    assert (answer.status_code, answer.json()["alias"]) == (201, "champion")
    assert Alias.objects.get().version == bank.new
    moved = log.history("alias:credit-scoring/champion")[0]
    assert (moved.actor_id, moved.facts["decision"]) == (scene.actor("ci").id, answer.json()["decision_id"])
    back = {"model": {"name": "credit-scoring", "version": "13"}, "environment": "prod-uae"}
    back |= {"reason": "Wrong.", "incident": "INC-7", "alias": "champion"}
    assert post(ci, "/api/v1/rollbacks", back).status_code == 201
    assert Alias.objects.get().version == bank.old
    assert log.history("alias:credit-scoring/champion")[0].facts["before"]["version"] == bank.new.subject


def test_without_one_no_alias_is_moved(bank: Bank, api_for: Api) -> None:
    ci = api_for("ci")
    answer = post(ci, "/api/v1/deployments", permitted(bank, ci))
    assert (answer.status_code, answer.json()["alias"]) == (201, None)
    assert not Alias.objects.exists()


def test_a_malformed_one_records_nothing_and_leaves_the_permit(bank: Bank, api_for: Api) -> None:
    ci = api_for("ci")
    body = permitted(bank, ci)
    for alias in ("no spaces", "a/b", "x" * 129, "", None, ["champion"]):
        answer = post(ci, "/api/v1/deployments", {**body, "alias": alias})
        assert (answer.status_code, "alias" in answer.content.decode()) == (400, True), alias
    assert (Deployment.objects.count(), Permit.objects.get().consumed_at) == (0, None)
    assert not Alias.objects.exists()


def test_the_page_of_a_rollback_offers_the_aliases_that_there_are(
    bank: Bank, client_for: Callable[[str], Client]
) -> None:
    deployments.record_deploy(bank.uae, bank.old, by=scene.SET_UP)
    deployments.record_deploy(bank.uae, bank.new, by=scene.SET_UP)
    address = reverse("governance:rollback", args=["prod-uae", "credit-scoring"])
    layla = client_for("layla")
    assert "id_alias" not in layla.get(address).content.decode(), "there is none yet"
    aliases.move(bank.model, "champion", bank.new, by=scene.SET_UP)
    assert "leave all where they are" in layla.get(address).content.decode()
    data = {"version": "13", "reason": "Wrong.", "incident": "INC-7"}
    assert layla.post(address, {**data, "alias": "another"}).status_code == 400
    assert layla.post(address, {**data, "alias": "champion"}).status_code == 302
    assert Alias.objects.get().version == bank.old
