"""J7: an operator goes back in one action, with reason and incident; today's rules still hold."""

from __future__ import annotations

from tests.stack import RunningStack


def rollback(stack: RunningStack, version: str, environment: str, *more: str) -> int:
    arguments = ["rollback", "record", "--model", "credit-scoring", "--version", version, "--environment", environment]
    return stack.cli(*arguments, *more).returncode


def test_a_rollback_needs_a_reason_and_an_incident(stack: RunningStack) -> None:
    assert rollback(stack, "1", "prod-uae") == 2


def test_a_version_that_never_served_there_is_refused(stack: RunningStack) -> None:
    assert rollback(stack, "2", "prod-ksa", "--reason", "Wrong.", "--incident", "INC-1") not in (0, 3)


def test_a_rollback_is_recorded_as_an_event_of_its_own(stack: RunningStack) -> None:
    assert rollback(stack, "1", "prod-uae", "--reason", "Latency doubled.", "--incident", "INC-2099") == 0
    with stack.api() as api:
        rows = api.get("environments/prod-uae/serving").json()["serving"]
    assert [str(row["version"]).rpartition("/")[2] for row in rows] == ["1"]
    page = stack.browser("sami").get("/deployments").text
    assert "INC-2099" in page
