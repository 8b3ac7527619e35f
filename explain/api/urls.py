"""Addresses of the explanation API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from explain.api import analyses, views

app_name = "explain-api"
urlpatterns = [
    path("explanations", views.Explanations.as_view(), name="explanations"),
    path("explanations/<int:job_id>", views.Explanation.as_view(), name="explanation"),
    path("explanations/<int:job_id>/cancel", views.Cancel.as_view(), name="cancel"),
    *analyses.urlpatterns,
]
