"""``MLFLOW_SERVERS`` is checked at boot: a server that is left out would go unwatched."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from config import environment
from config.tracking import WRITE_BACK, servers

WHOLE = {"name": "risk", "uri": "https://mlflow.example", "prefix": "risk."}


def test_a_login_comes_from_the_variables_that_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RISK_TOKEN", "geheim")
    assert servers(json.dumps([{**WHOLE, "token_from": "RISK_TOKEN"}])) == [
        {**WHOLE, "write_back": "off", "token": "geheim", "username": "", "password": ""}
    ]
    assert servers("") == []


def test_the_first_server_is_told_nothing_unless_its_variable_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_WRITE_BACK", raising=False)
    assert environment.choice("MLFLOW_WRITE_BACK", *WRITE_BACK) == "off"
    assert servers(json.dumps([{**WHOLE, "write_back": "mirror"}]))[0]["write_back"] == "mirror"
    for word in ("yes", "Mirror", "1"):
        monkeypatch.setenv("MLFLOW_WRITE_BACK", word)
        with pytest.raises(ImproperlyConfigured, match="MLFLOW_WRITE_BACK must be off or mirror"):
            environment.choice("MLFLOW_WRITE_BACK", *WRITE_BACK)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("{", "not JSON"),
        ({}, "not a list"),
        (["https://mlflow.example"], r"\[0\]: an object"),
        ([{**WHOLE, "token": "geheim"}], r"\[0\]: an object"),
        ([{**WHOLE, "name": "Risk One"}], r"\[0\].name"),
        ([{**WHOLE, "uri": "sqlite:///mlflow.db"}], r"\[0\].uri"),
        ([{"name": "risk", "uri": "https://mlflow.example"}], r"\[0\].prefix"),
        ([{**WHOLE, "prefix": "risk/"}], r"\[0\].prefix"),
        ([{**WHOLE, "write_back": "yes"}], r"\[0\].write_back: say off or mirror"),
        ([{**WHOLE, "write_back": ["mirror"]}], r"\[0\].write_back"),
        ([{**WHOLE, "token_from": "NOT_SET_ANYWHERE"}], "NOT_SET_ANYWHERE"),
        ([WHOLE, {**WHOLE, "name": "other", "prefix": "o."}], "same uri"),
        ([WHOLE, {**WHOLE, "uri": "https://other.example", "prefix": "o."}], "same name"),
        ([WHOLE, {**WHOLE, "name": "other", "uri": "https://other.example"}], "same prefix"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(given: Any, words: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"MLFLOW_SERVERS.*{words}"):
        servers(given if isinstance(given, str) else json.dumps(given))
