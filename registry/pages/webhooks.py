"""Where MLflow tells that something changed. No person and no token calls here: the signature is the right."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, JsonResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from audit.refusals import NotPermitted, Refusal
from registry.sources import mlflow_webhooks


@login_not_required
@csrf_exempt
@never_cache
@require_POST
def from_mlflow(request: HttpRequest) -> JsonResponse:
    """202 when the delivery was taken in, now or before; 401 when it is not surely MLflow's; 404 while none is awaited.

    No refusal is a 429 or a 5xx, which MLflow would send again: none of them gets better by itself.
    """
    secret = settings.MLFLOW_WEBHOOK_SECRET
    try:
        delivery = mlflow_webhooks.check(request.headers, request.body, secret=secret, now=timezone.now())
    except RequestDataTooBig:
        return JsonResponse(
            {"code": "input.too_large", "detail": _("The body is larger than this server accepts.")}, status=413
        )
    except Refusal as refusal:
        status = 401 if isinstance(refusal, NotPermitted) else refusal.status
        return JsonResponse({"code": refusal.code, "detail": refusal.sentence}, status=status)
    new = mlflow_webhooks.take_in(delivery)
    return JsonResponse({"delivery": delivery, "known": not new}, status=202)
