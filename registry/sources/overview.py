"""Where models come from: each tracking server with its newest import."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from celery import current_app
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit.refusals import Refused
from registry.models import SourceImport
from registry.sources.mlflow_client import without_secrets
from registry.sources.mlflow_outbox import Mirror, mirrors
from registry.sources.mlflow_webhooks import IMPORT
from registry.sources.servers import tracking_servers

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A server of the settings. ``newest`` is None before its first import."""

    name: str
    address: str
    prefix: str
    newest: SourceImport | None
    mirror: Mirror

    @property
    def failed(self) -> bool:
        """Whether the newest import did not get through."""
        return self.newest is not None and bool(self.newest.refusal)


def sources() -> list[Source]:
    """Every server of the settings. Three queries."""
    newest = {each.server: each for each in SourceImport.objects.order_by("server", "-pk").distinct("server")}
    told = mirrors()
    return [
        Source(each.name, without_secrets(each.uri), each.prefix, newest.get(each.name), told[each.name])
        for each in tracking_servers()
    ]


def order_import() -> None:
    """Have a worker import now. Raises ``Refused`` when there is no server, or no broker to hand the order to."""
    if not tracking_servers():
        raise Refused(_("No tracking server is set: set MLFLOW_TRACKING_URI first."), code="mlflow.address")
    try:
        current_app.send_task(IMPORT, retry=False)
    except (KombuError, OSError) as error:
        logger.warning("the broker does not take the order to import: %s", error)
        sentence = _("The broker cannot be reached, so no worker was told. The clock's next import comes by itself.")
        raise Refused(sentence, code="broker.unreachable") from error
