"""Telling MLflow what was decided here: what waits in the outbox, oldest first, again and again until it is there.

Nothing of a transaction is open while MLflow is asked. Sent twice it says the same twice.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _

from audit.actors import Actor
from audit.advisory import claimed
from audit.refusals import Refused
from registry.models import MirrorKind, MirrorState, MLflowWrite
from registry.sources import mlflow_outbox
from registry.sources.mlflow_writer import REFUSED, Writer
from registry.sources.servers import TrackingServer, tracking_servers

logger = logging.getLogger(__name__)

#: Who tells MLflow.
MIRROR = Actor.system("mlflow-mirror")
#: First key of the advisory lock («mirr» in ASCII): two senders could overtake one another.
LOCK = 0x6D697272
#: Seconds between two packets of MLflow's answers.
READ = 10.0
#: Writes in one run; the clock starts the next.
MOST = 500
#: The wait after the first failure doubles with each further one, up to an hour.
FIRST_WAIT, LONGEST_WAIT = timedelta(seconds=30), timedelta(hours=1)
#: Refusals of one request. Every other one is the server's: it is not asked again in this run.
OF_ONE_MODEL = frozenset({"mlflow.status"})
#: What was told longer ago is forgotten; the log is the record.
KEPT = timedelta(days=30)


def send_waiting(*, by: Actor = MIRROR) -> int:
    """Tell every tracking server what is due; answers how much was told. Nothing while another run goes on.

    Never raises for a server that fails: the row says why, and when it is tried again.
    """
    told = 0
    with claimed(LOCK, 0) as mine:
        for server in tracking_servers() if mine else []:
            if server.mirrors:
                told += _send_to(server, by)
    forgotten = (MirrorState.FINISHED, MirrorState.SUPERSEDED)
    MLflowWrite.objects.filter(state__in=forgotten, done__lt=timezone.now() - KEPT).delete()
    return told


def _send_to(server: TrackingServer, by: Actor) -> int:
    """Oldest first; a model whose oldest is not due yet waits whole, so that nothing overtakes it."""
    now = timezone.now()
    waiting = MLflowWrite.objects.filter(server=server.name, state=MirrorState.WAITING)
    later = set(waiting.filter(due__gt=now).values_list("version__model_id", flat=True))
    told = 0
    for row in waiting.filter(due__lte=now).select_related("version__model")[:MOST]:
        if row.version.model_id in later:
            continue
        try:
            told += _send(row, server, by)
        except Refused as refusal:
            logger.warning("mlflow mirror: %s", refusal.sentence)
            later.add(row.version.model_id)
            if _postpone(row, refusal):
                break
    return told


def _send(row: MLflowWrite, server: TrackingServer, by: Actor) -> bool:
    """Whether the server has been told. Raises ``Refused`` for what may pass.

    The attempt is noted first: when we die after MLflow was told, it is still known that it may have been.
    """
    noted = MLflowWrite.objects.filter(pk=row.pk, state=MirrorState.WAITING)
    if not noted.update(attempts=F("attempts") + 1, tried=timezone.now()):
        return False  # replaced, or followed, since it was read
    state, sentence = MirrorState.FINISHED, ""
    try:
        with Writer(server, read=READ) as client:
            state, sentence = _write(client, row, row.version.model.name.removeprefix(server.prefix))
    except Refused as refusal:
        if refusal.code != REFUSED:
            raise
        state, sentence = MirrorState.REFUSED, refusal.sentence
    with transaction.atomic():
        mlflow_outbox.end(row, state, sentence, by=by)
    return state == MirrorState.FINISHED


def _write(client: Writer, row: MLflowWrite, model: str) -> tuple[MirrorState, str]:
    """Write it, unless it is there already, belongs to another artifact, or somebody else moved the alias since."""
    version = row.version
    if row.kind == MirrorKind.ALIAS:
        there = client.aliases(model).get(row.name, "")
        if there == row.value:
            return MirrorState.FINISHED, ""
        if there and there not in row.before:
            return MirrorState.HELD, mlflow_outbox.held(row, there)
    source = client.source(model, version.number)
    if version.source_uri and source[:1000] != version.source_uri:
        sentence = _("Version %(number)d of %(model)s in MLflow is another artifact than %(label)s by now.")
        facts = {"number": version.number, "model": model, "label": version.label}
        return MirrorState.REFUSED, sentence % facts
    if row.kind == MirrorKind.ALIAS:
        client.point(model, row.name, version.number)
    else:
        client.set_tag(model, version.number, row.name, row.value)
    return MirrorState.FINISHED, ""


def _postpone(row: MLflowWrite, refusal: Refused) -> bool:
    """Try it again later, and what waits behind it not before; answers whether the whole server waits."""
    doubled: timedelta = FIRST_WAIT * 2 ** min(row.attempts, 20)
    due = timezone.now() + min(doubled, LONGEST_WAIT)
    waiting = MLflowWrite.objects.filter(server=row.server, state=MirrorState.WAITING)
    waiting.filter(pk=row.pk).update(last_error=refusal.sentence[:2000])
    whole = refusal.code not in OF_ONE_MODEL
    behind = waiting if whole else waiting.filter(version__model_id=row.version.model_id)
    behind.filter(due__lt=due).update(due=due)
    return whole
