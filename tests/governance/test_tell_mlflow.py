"""What was decided here is told to a real MLflow server; what MLflow says decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from celery import current_app
from django.db import transaction
from django.test import Client
from django.utils import timezone

from audit import queries as log
from audit.refusals import BadInput, Conflict
from config.celery import app
from governance import gate, rollouts
from governance.models.permit import Permit
from registry import aliases, deployments, finding_wording, tasks, versions
from registry.models import Alias, Deployment, Finding, MLflowWrite, Model
from registry.sources import mlflow, mlflow_mirror, mlflow_outbox
from tests.conftest import CommittedDatabase, free_port
from tests.governance import fraud as fraud_scene
from tests.governance import scene
from tests.governance.fraud import MODEL, Scene, alias_findings, make_due, states
from tests.registry.tracking import Tracking, running

SOON = timedelta(minutes=30)


@pytest.fixture(scope="module")
def tracking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracking]:
    """A real server with three versions of a model."""
    with running(tmp_path_factory.mktemp("mlflow")) as server:
        fraud_scene.register(server)
        yield server


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Tasks that were announced; a double, because these tests have no broker."""
    announced: list[str] = []
    monkeypatch.setattr(current_app, "send_task", lambda name, **_: announced.append(name))
    return announced


@pytest.fixture
def fraud(committed_db: CommittedDatabase, tracking: Tracking, settings: Any, sent: list[str]) -> Scene:
    """Told of changes; ``champion`` is the first version here and there, and nothing serves."""
    settings.MLFLOW_TRACKING_URI, settings.MLFLOW_WRITE_BACK = tracking.url, "mirror"
    found = fraud_scene.build(tracking)
    tracking.point(MODEL, "champion", 1)
    mlflow.import_all(by=scene.SET_UP)
    assert not MLflowWrite.objects.exists(), "what MLflow said itself is not told back"
    return found


def test_a_deploy_is_told_and_the_alias_follows_the_governed_promotion(fraud: Scene, sent: list[str]) -> None:
    deployment = fraud.deploy(2, alias="champion")
    assert sent == [mlflow_outbox.SEND] * 2, "announced only after the commit"
    assert (fraud.alias(), "countersign.decision" in fraud.tags(2)) == ("1", False), "nothing is told in between"
    tasks.mirror_to_mlflow()
    assert fraud.tags(2)["countersign.decision"] == deployment.decision_id
    assert fraud.alias() == "2"
    moved = log.history(f"alias:{MODEL}/champion")[1]
    assert (moved.event, moved.actor_id) == ("alias.moved", scene.actor("ci").id)
    assert moved.facts["decision"] == deployment.decision_id
    assert moved.facts["deployment"] == deployment.subject
    told = log.history(f"alias:{MODEL}/champion")[0]
    assert (told.event, told.actor_id) == ("mlflow.mirrored", "system:mlflow-mirror")
    assert told.facts | {"server": "mlflow", "alias": "champion", "value": "2"} == told.facts
    tagged = log.history(fraud.version[2].subject)[0]
    assert (tagged.event, tagged.facts["tag"]) == ("mlflow.mirrored", "countersign.decision")
    again = mlflow.import_all(by=scene.SET_UP)
    assert (again.aliases, again.out_of_band, alias_findings()) == (0, 0, [])
    assert mlflow_mirror.send_waiting() == 0


def test_a_rollback_moves_the_alias_back(fraud: Scene) -> None:
    fraud.deploy(1)
    fraud.deploy(2, alias="champion")
    mlflow_mirror.send_waiting()
    done = rollouts.record_rollback(
        fraud.version[1], fraud.bank.uae, reason="Wrong.", incident="INC-7", alias="champion", by=scene.actor("layla")
    )
    mlflow_mirror.send_waiting()
    assert (fraud.alias(), fraud.tags(1)["countersign.decision"]) == ("1", done.decision.public_id)
    assert log.history(f"alias:{MODEL}/champion")[1].reason == "Wrong."


def test_off_is_the_default_and_writes_nothing(fraud: Scene, settings: Any, sent: list[str]) -> None:
    settings.MLFLOW_WRITE_BACK = "off"
    before = (fraud.alias(), fraud.tags(3))
    fraud.deploy(3)
    with pytest.raises(Conflict, match="MLFLOW_WRITE_BACK") as refusal:
        fraud.deploy(2, alias="champion")
    assert refusal.value.code == "alias.not_mirrored"
    assert Permit.objects.filter(consumed_at=None).count() == 1, "the permit may still be used, without alias"
    tasks.mirror_to_mlflow()
    mlflow_mirror.send_waiting()
    assert (fraud.alias(), fraud.tags(3)) == before
    assert (states(), sent) == ([], [])
    assert Alias.objects.get().version == fraud.version[1]


def test_what_was_owed_when_it_was_switched_off_is_not_told(fraud: Scene, settings: Any) -> None:
    fraud.deploy(2, alias="champion")
    settings.MLFLOW_WRITE_BACK = "off"
    tasks.mirror_to_mlflow()
    assert mlflow_mirror.send_waiting() == 0
    assert fraud.alias() == "1"
    assert alias_findings() == [f"alias:{MODEL}/champion"], "nobody is about to tell it any more"
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0, "nobody has moved it by hand either"
    assert "which could not be told" in finding_wording.sentence(Finding.objects.get(kind="alias_moved"))


def test_a_refused_deploy_and_a_transaction_that_is_undone_tell_nothing(fraud: Scene, sent: list[str]) -> None:
    with transaction.atomic():
        fraud.deploy(2, alias="champion")
        assert MLflowWrite.objects.count() == 2
        transaction.set_rollback(True)
    scene.approved(fraud.bank, version=fraud.version[2])
    answer = gate.check(fraud.version[2], fraud.bank.uae, by=scene.actor("ci"))
    assert answer.decision is not None
    with pytest.raises(Conflict):
        rollouts.record_deploy(
            answer.decision.public_id,
            secret=answer.secret,
            environment="prod-uae",
            strategy="canary",
            alias="champion",
            by=scene.actor("ci"),
        )
    denied = gate.check(fraud.version[2], fraud.bank.frankfurt, by=scene.actor("ci"))
    assert denied.decision is not None
    with pytest.raises(BadInput):
        rollouts.record_deploy(
            denied.decision.public_id,
            secret=denied.secret,
            environment=fraud.bank.frankfurt.slug,
            alias="champion",
            by=scene.actor("ci"),
        )
    assert (states(), sent, fraud.alias()) == ([], [], "1")
    assert Alias.objects.get().version == fraud.version[1]


def test_no_alias_is_moved_by_less_than_a_whole_deployment_to_production(fraud: Scene) -> None:
    with pytest.raises(Conflict) as staging:
        fraud.deploy(2, alias="champion", place=fraud.bank.staging)
    assert staging.value.code == "alias.not_production"
    permit = Permit.objects.get()
    refused = log.history(permit.decision.subject)[0]
    assert (permit.consumed_at, refused.event) == (None, "permit.refused")
    assert refused.facts["rule"] == "alias.not_production"
    deployments.record_deploy(fraud.bank.uae, fraud.version[1], by=scene.SET_UP)
    canary = deployments.record_deploy(
        fraud.bank.uae, fraud.version[3], "canary", "dec_canary", weight=5, by=scene.SET_UP
    )
    with pytest.raises(Conflict) as share:
        aliases.promote(canary, "champion", by=scene.SET_UP)
    assert share.value.code == "alias.shares"
    whole = Deployment.objects.get(version=fraud.version[1])
    for name in ("latest", "v7", "a.b", "a/b", "ü"):
        with pytest.raises(BadInput):
            aliases.promote(whole, name, by=scene.SET_UP)


def test_a_model_that_is_in_no_mlflow_moves_its_alias_here_only(fraud: Scene) -> None:
    deployments.record_deploy(fraud.bank.uae, fraud.bank.new, "all_at_once", "dec_here", by=scene.SET_UP)
    aliases.promote(Deployment.objects.get(), "champion", by=scene.SET_UP)
    assert Alias.objects.get(model=fraud.bank.model).version == fraud.bank.new
    assert states() == []


def test_while_mlflow_is_away_the_change_stands_waits_and_is_no_move_by_hand(
    fraud: Scene, settings: Any, client_for: Callable[[str], Client], api_for: Callable[[str], Client]
) -> None:
    settings.MLFLOW_TRACKING_URI = f"http://127.0.0.1:{free_port()}"
    fraud.deploy(2, alias="champion")
    mlflow_mirror.send_waiting()
    assert Alias.objects.get().version == fraud.version[2]
    assert [state for *_, state in states()] == ["waiting", "waiting"]
    first = MLflowWrite.objects.earliest("id")
    assert (first.attempts, "cannot be read" in first.last_error) == (1, True)
    assert all(each.due > timezone.now() + timedelta(seconds=20) for each in MLflowWrite.objects.all())
    page = client_for("noor").get("/sources").content.decode()
    assert "2 changes wait to be told to MLflow." in page
    assert "cannot be read" in page
    (source,) = api_for("ci").get("/api/v1/sources").json()["results"]
    assert (source["mirror"]["on"], source["mirror"]["waiting"], source["mirror"]["refused"]) == (True, 2, 0)
    assert "cannot be read" in source["mirror"]["error"]
    settings.MLFLOW_TRACKING_URI = fraud.server.url
    assert mlflow_mirror.send_waiting() == 0, "not before its time"
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0
    assert alias_findings() == []
    assert Alias.objects.get().version == fraud.version[2], "the import does not undo what was decided here"
    make_due()
    assert mlflow_mirror.send_waiting() == 2
    assert (fraud.alias(), alias_findings()) == ("2", [])


def test_a_move_by_hand_while_ours_waits_is_found_and_not_written_over(fraud: Scene) -> None:
    fraud.deploy(2, alias="champion")
    fraud.server.point(MODEL, "champion", 3)
    assert alias_findings() == [f"alias:{MODEL}/champion"]
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 1
    alias = Alias.objects.get()
    assert (alias.version, alias.outside, alias.ledger) == (fraud.version[3], True, fraud.version[2].subject)
    assert states()[1] == ("alias", "2", "held")
    assert mlflow_mirror.send_waiting() == 1, "the decision is still told"
    assert fraud.alias() == "3"
    assert alias_findings() == [f"alias:{MODEL}/champion"]
    fraud.server.point(MODEL, "champion", 1)
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 1, "back where it was before is by hand too"


def test_a_move_by_hand_that_only_the_sender_sees_is_not_written_over(fraud: Scene) -> None:
    fraud.deploy(2, alias="champion")
    fraud.server.point(MODEL, "champion", 3)
    assert mlflow_mirror.send_waiting() == 1
    assert (states()[1], fraud.alias()) == (("alias", "2", "held"), "3")
    told = log.history(f"alias:{MODEL}/champion")[0]
    assert (told.event, "Somebody moved" in told.reason) == ("mlflow.refused", True)
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 1
    fraud.deploy(1, alias="champion")  # decided again
    mlflow_mirror.send_waiting()
    assert (fraud.alias(), alias_findings()) == ("1", [])


def test_only_the_newest_state_of_an_alias_is_told(fraud: Scene, sent: list[str]) -> None:
    fraud.deploy(2, alias="champion")
    fraud.deploy(3, alias="champion")
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0, "MLflow has it where it was before both"
    mlflow_mirror.send_waiting()
    assert [each for each in states() if each[0] == "alias"] == [
        ("alias", "2", "superseded"),
        ("alias", "3", "finished"),
    ]
    assert fraud.alias() == "3"


def test_an_attempt_that_may_have_arrived_is_our_own(fraud: Scene) -> None:
    fraud.deploy(2, alias="champion")
    MLflowWrite.objects.filter(kind="alias").update(attempts=1)
    fraud.server.point(MODEL, "champion", 2)  # it had arrived; its answer was lost, and then we died
    fraud.deploy(3, alias="champion")
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0
    assert alias_findings() == []
    mlflow_mirror.send_waiting()
    assert fraud.alias() == "3"


def test_what_mlflow_refuses_for_good_is_said_and_not_tried_again(
    fraud: Scene, client_for: Callable[[str], Client]
) -> None:
    gone = versions.register_version(
        Model.objects.get(name=MODEL),
        digest=scene.digest_of("99"),
        trained_by=["yusuf"],
        number=99,
        tracking_server=fraud.server.url,
        by=scene.SET_UP,
    )
    deployments.record_deploy(fraud.bank.uae, gone, "all_at_once", "dec_gone", by=scene.SET_UP)
    aliases.promote(Deployment.objects.get(), "champion", by=scene.SET_UP)
    assert mlflow_mirror.send_waiting() == 0
    assert [state for *_, state in states()] == ["refused", "refused"]
    assert "not found" in MLflowWrite.objects.latest("id").last_error
    for subject in (gone.subject, f"alias:{MODEL}/champion"):
        assert log.history(subject)[0].event == "mlflow.refused"
    page = client_for("noor").get("/sources").content.decode()
    assert "2 changes could not be told." in page
    mlflow_mirror.send_waiting()
    assert {each.attempts for each in MLflowWrite.objects.all()} == {1}
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0, "nobody moved it"
    assert alias_findings() == [f"alias:{MODEL}/champion"], "but it differs, and somebody has to see to it"
    assert "which could not be told" in finding_wording.sentence(Finding.objects.get(kind="alias_moved"))


def test_another_artifact_under_the_same_number_is_not_told(fraud: Scene) -> None:
    model = Model.objects.get(name=MODEL)
    server = fraud.server
    remade = server.call("POST", "model-versions/create", name=MODEL, source="s3://models/another")["model_version"]
    version = versions.register_version(
        model,
        digest=scene.digest_of("remade"),
        trained_by=["yusuf"],
        number=int(remade["version"]),
        tracking_server=server.url,
        source_uri="s3://models/the-registered-one",
        by=scene.SET_UP,
    )
    deployments.record_deploy(fraud.bank.uae, version, "all_at_once", "dec_other", by=scene.SET_UP)
    mlflow_mirror.send_waiting()
    assert states() == [("tag", "dec_other", "refused")]
    assert "another artifact" in MLflowWrite.objects.get().last_error
    assert fraud.tags(version.number) == {}
    server.call("DELETE", "model-versions/delete", name=MODEL, version=remade["version"])


def test_an_alias_that_mlflow_never_had_is_made_there_and_not_called_removed(fraud: Scene) -> None:
    fraud.deploy(2, alias="production")
    summary = mlflow.import_all(by=scene.SET_UP)
    assert (summary.problems, alias_findings()) == ([], [])
    mlflow_mirror.send_waiting()
    assert fraud.alias("production") == "2"
    fraud.server.call("DELETE", "registered-models/alias", name=MODEL, alias="production")


def test_a_prefix_is_ours_and_not_the_servers(fraud: Scene, settings: Any) -> None:
    login = {"token": "", "username": "", "password": ""}
    settings.MLFLOW_TRACKING_URI = "http://127.0.0.1:9"
    settings.MLFLOW_WRITE_BACK = "off"
    risk = {"name": "risk", "uri": fraud.server.url, "prefix": "risk.", "write_back": "mirror", **login}
    settings.MLFLOW_SERVERS = [risk]
    model = versions.register_model(
        f"risk.{MODEL}", title="x", owner="x", purpose="x", risk="high", risk_reason="x", by=scene.SET_UP
    )
    version = versions.register_version(
        model,
        digest=scene.digest_of("risk"),
        trained_by=["yusuf"],
        tracking_server=fraud.server.url,
        source_uri=f"s3://models/{MODEL}/1",
        by=scene.SET_UP,
    )
    deployments.record_deploy(fraud.bank.uae, version, "all_at_once", "dec_risk", by=scene.SET_UP)
    aliases.promote(Deployment.objects.get(), "risky", by=scene.SET_UP)
    assert mlflow_mirror.send_waiting() == 2
    assert (fraud.tags(1)["countersign.decision"], fraud.alias("risky")) == ("dec_risk", "1")
    fraud.server.call("DELETE", "registered-models/alias", name=MODEL, alias="risky")


def test_a_broker_that_is_away_loses_nothing(
    fraud: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def away(*_: Any, **__: Any) -> None:
        raise OSError("no broker")

    monkeypatch.setattr(current_app, "send_task", away)
    fraud.deploy(2, alias="champion")
    assert "the clock will" in caplog.text
    tasks.mirror_to_mlflow()  # the clock's
    assert fraud.alias() == "2"
    assert app.conf.beat_schedule["tell MLflow what waits"]["task"] == mlflow_outbox.SEND == tasks.mirror_to_mlflow.name


def test_a_move_back_by_hand_right_after_ours_is_found(fraud: Scene) -> None:
    fraud.deploy(2, alias="champion")
    mlflow_mirror.send_waiting()
    fraud.server.point(MODEL, "champion", 1)
    assert alias_findings() == [f"alias:{MODEL}/champion"], "the reconciler has just looked"
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 0, "an import might have looked before we told MLflow"
    MLflowWrite.objects.update(done=timezone.now() - mlflow_outbox.SETTLES)
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 1


def test_what_was_told_long_ago_is_forgotten(fraud: Scene) -> None:
    fraud.deploy(2, alias="champion")
    mlflow_mirror.send_waiting()
    MLflowWrite.objects.update(done=timezone.now() - mlflow_mirror.KEPT - SOON)
    mlflow_mirror.send_waiting()
    assert states() == []
    fraud.server.point(MODEL, "champion", 1)
    assert mlflow.import_all(by=scene.SET_UP).out_of_band == 1
