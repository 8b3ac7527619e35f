"""What rollout controllers call, under /hooks/."""

from __future__ import annotations

from django.urls import path, re_path

from governance.api import hooks

app_name = "governance-hooks"

urlpatterns = [
    re_path(
        r"^flagger/(?P<hook>confirm-rollout|confirm-traffic-increase|confirm-promotion|rollback)$",
        hooks.FlaggerGate.as_view(),
        name="flagger",
    ),
    path("flagger/event", hooks.FlaggerEvent.as_view(), name="flagger_event"),
    path("argo", hooks.ArgoMetric.as_view(), name="argo"),
]
