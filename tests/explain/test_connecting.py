"""What is on record of an endpoint is how it is called."""

from __future__ import annotations

import pytest

from audit.refusals import BadInput
from explain.preparing import client_of, limits_of
from registry import environments
from tests.explain.conftest import TRAINER, register_endpoint
from tests.explain.test_protocols import AGES, PREDICTIONS, V2_REPLY, recorder

pytestmark = pytest.mark.django_db


def test_protocol_options_time_out_and_credential_are_those_of_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_CREDENTIAL_SCORING", '{"x-api-key": "abc"}')
    with recorder(V2_REPLY) as server:
        endpoint = environments.change_endpoint(
            register_endpoint(f"http://127.0.0.1:{server.server_address[1]}"),
            protocol="v2",
            options={"model": "adult", "input": "x"},
            credential="SCORING",
            timeout=7,
            concurrency=3,
            rows_per_second=900,
            by=TRAINER,
        )
        with client_of(endpoint) as client, limits_of(endpoint) as limiter:
            assert client.send(AGES, wire="application/json").shape == (2, 2)
            assert limiter.largest == 900
        assert server.path == "/v2/models/adult/infer"
        assert server.headers["x-api-key"] == "abc"


def test_a_credential_that_went_away_is_said_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENDPOINT_CREDENTIAL_SCORING", "Bearer abc")
    with recorder(PREDICTIONS) as server:
        endpoint = environments.change_endpoint(
            register_endpoint(f"http://127.0.0.1:{server.server_address[1]}"), credential="SCORING", by=TRAINER
        )
        monkeypatch.delenv("ENDPOINT_CREDENTIAL_SCORING")
        with pytest.raises(BadInput, match="“SCORING” is not there"), client_of(endpoint):
            pass


def test_a_host_that_is_no_longer_allowed_is_not_asked(settings: object) -> None:
    endpoint = register_endpoint("http://127.0.0.1:9")
    settings.ALLOWED_ENDPOINT_HOSTS = ["scoring.internal"]  # type: ignore[attr-defined]
    with pytest.raises(BadInput, match="is not allowed"), client_of(endpoint):
        pass
