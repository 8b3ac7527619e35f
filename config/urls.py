"""Where everything is mounted."""

from __future__ import annotations

from django.urls import include, path

from config.health import healthz, readyz
from config.metrics import metrics

urlpatterns = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/", include("config.api.urls")),
    path("api/v1/", include("governance.api.urls")),
    path("api/v1/", include("explain.api.urls")),
    path("api/v1/", include("registry.api.urls")),
    path("api/v1/", include("audit.api.urls")),
    path("hooks/", include("governance.api.hook_urls")),
    path("", include("config.pages.urls")),
    path("", include("governance.pages.urls")),
    path("", include("explain.pages.urls")),
    path("", include("registry.pages.urls")),
    path("", include("audit.pages.urls")),
]
handler400 = "config.pages.errors.bad_request"
handler403 = "config.pages.errors.permission_denied"
handler404 = "config.pages.errors.page_not_found"
handler500 = "config.pages.errors.server_error"
