"""The OpenAPI document and its page; both need a signed-in user or a token."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.urls import path
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from config.api import openapi as openapi  # registers the authentication schemes with drf-spectacular
from config.api.search import Search

urlpatterns = [
    path("v1/search", Search.as_view(), name="search"),
    path("schema/", SpectacularAPIView.as_view(), name="schema"),
    path(
        "docs/",
        login_required(SpectacularSwaggerSplitView.as_view(url_name="schema", template_name="config/api_docs.html")),
        name="docs",
    ),
]
