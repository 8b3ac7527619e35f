"""MLflow is killed in the middle of importing 2,000 versions, is started again, and the import goes on.

``python -m tests.drills.mlflow_stopped``. It takes minutes, so the suite has a small one with a server that hangs up
(``test_importing_many_models``). What is stored in the end must be what one undisturbed import stores.
"""

from __future__ import annotations

import threading
import time

from tests.benchmarks._server import migrated_server  # sets Django up, so it comes first

# isort: split
from django.conf import settings

from audit.actors import Actor
from audit.refusals import Refused
from registry.models import ModelVersion
from registry.sources import mlflow
from tests.benchmarks._many_models import VERSIONS, folder_of_many
from tests.registry.compared import differences, state
from tests.registry.tracking import Tracking, running

BY = Actor.system("mlflow-import")
KILLS = (300, 1_100)


def killed_at(server: Tracking, stored: int) -> None:
    """Import until ``stored`` versions are there, then kill the server under it."""
    watch = threading.Thread(target=_kill_when, args=(server, stored), daemon=True)
    watch.start()
    try:
        mlflow.import_all(by=BY)
    except Refused as refusal:
        print(f"killed with {ModelVersion.objects.count()} versions stored: {refusal.sentence}", flush=True)
    else:
        raise AssertionError("the import ended before the server was killed")


def _kill_when(server: Tracking, stored: int) -> None:
    from django.db import connection

    while ModelVersion.objects.count() < stored:
        time.sleep(0.2)
    connection.close()
    server.kill()


def main() -> None:
    """Two kills, three starts; then the same with none."""
    folder = folder_of_many()
    with migrated_server():
        for stored in KILLS:
            with running(folder) as server:
                settings.MLFLOW_TRACKING_URI = server.url
                killed_at(server, stored)
        with running(folder) as server:
            settings.MLFLOW_TRACKING_URI = server.url
            mlflow.import_all(by=BY)
            assert differences(server, 50) == []
        disturbed = state()
    with migrated_server(), running(folder) as server:
        settings.MLFLOW_TRACKING_URI = server.url
        mlflow.import_all(by=BY)
        assert state() == disturbed, "the two imports ended differently"
    print(f"the same {VERSIONS} versions, runs, data sets, aliases and edges; 50 of them are what MLflow says")


if __name__ == "__main__":
    main()
