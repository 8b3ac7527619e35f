"""What MLflow sends when something changed there: a reason to look now instead of at the next poll, and nothing more.

Deliveries come at least once, in any order, and before a version has its run and its tags; whoever holds the secret
could send any. So nothing of a body is believed: an accepted delivery only wakes the import, which reads MLflow itself.
A delivery that is lost is made good by the poll.

Signature: Standard Webhooks as MLflow 3 sends it, ``v1,<base64 of HMAC-SHA256(secret, "id.timestamp.body")>``.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from celery import current_app
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError

from audit.refusals import NotKnown, NotPermitted
from registry.models import MLflowDelivery

logger = logging.getLogger(__name__)

VARIABLE = "MLFLOW_WEBHOOK_SECRET"
#: How far a delivery's time may be from ours, either way. An older one is a replay, or of no use any more.
TOLERANCE = timedelta(minutes=5)
#: Kept this long, so that a delivery is known again for as long as its time is believed.
KEPT = timedelta(days=1)
IMPORT = "registry.tasks.import_from_mlflow"
_ID = re.compile(r"[\x21-\x7e]{1,100}")
_SECONDS = re.compile(r"[0-9]{1,12}")


def check(headers: Mapping[str, str], body: bytes, *, secret: str, now: datetime) -> str:
    """The id of a delivery that MLflow signed with ``secret`` within ``TOLERANCE`` of ``now``.

    Raises ``NotKnown`` while no secret is set, ``NotPermitted`` for everything that is not surely MLflow's.
    """
    if not secret:
        sentence = _("No webhook is expected here: set %(variable)s to the secret that MLflow signs with.")
        raise NotKnown(sentence % {"variable": VARIABLE}, code="webhook.not_set_up")
    delivery, sent = headers.get("X-MLflow-Delivery-Id", ""), headers.get("X-MLflow-Timestamp", "")
    version, _comma, given = headers.get("X-MLflow-Signature", "").partition(",")
    if version != "v1" or not _ID.fullmatch(delivery) or not _SECONDS.fullmatch(sent):
        sentence = _(
            "A delivery of MLflow carries X-MLflow-Delivery-Id, X-MLflow-Timestamp and X-MLflow-Signature (v1)."
        )
        raise NotPermitted(sentence, code="webhook.unsigned")
    signed = hmac.new(secret.encode(), f"{delivery}.{sent}.".encode() + body, hashlib.sha256).digest()
    if not hmac.compare_digest(base64.b64encode(signed), given.encode()):
        sentence = _("The signature is not made with %(variable)s. Give MLflow's webhook the same secret.")
        raise NotPermitted(sentence % {"variable": VARIABLE}, code="webhook.signature")
    if abs(now.timestamp() - int(sent)) > TOLERANCE.total_seconds():
        sentence = _("The delivery was signed at another time (%(seconds)s s). Are both clocks right?")
        raise NotPermitted(sentence % {"seconds": sent}, code="webhook.late")
    return delivery


def take_in(delivery: str) -> bool:
    """Keep an accepted delivery and wake the import; False when it was known already.

    While another one waits, the import is awake: two thousand new versions send one task, not two thousand.
    """
    waiting = MLflowDelivery.objects.filter(taken=False).exists()
    _kept, new = MLflowDelivery.objects.get_or_create(delivery_id=delivery)
    if new and not waiting:
        try:
            current_app.send_task(IMPORT, retry=False)
        except (KombuError, OSError) as error:
            logger.warning("the broker does not take the import for delivery %s, the poll will: %s", delivery, error)
    return new


def waiting() -> list[str]:
    """Deliveries for which nobody has looked yet; those that are too old to come again are forgotten.

    The newest stays: that one came, and when, tells whether MLflow's webhooks reach us.
    """
    newest = MLflowDelivery.objects.order_by("-received").values("pk")[:1]
    MLflowDelivery.objects.filter(received__lt=timezone.now() - KEPT).exclude(pk__in=newest).delete()
    return list(MLflowDelivery.objects.filter(taken=False).values_list("delivery_id", flat=True))


def looked(deliveries: list[str]) -> None:
    """An import that began after these had come has ended."""
    MLflowDelivery.objects.filter(delivery_id__in=deliveries).update(taken=True)
