"""Addresses of the explanation API under /api/v1/."""

from __future__ import annotations

from django.urls import path

from explain.api import analyses, results, views

app_name = "explain-api"
urlpatterns = [
    path("explanations", views.Explanations.as_view(), name="explanations"),
    path("explanations/estimate", views.Estimate.as_view(), name="estimate"),
    path("explanations/erasure", views.Erasure.as_view(), name="erasure"),
    path("explanations/one", views.One.as_view(), name="one"),
    path("explanations/<int:job_id>", views.Explanation.as_view(), name="explanation"),
    path("explanations/<int:job_id>/status", views.Status.as_view(), name="status"),
    path("explanations/<int:job_id>/cancel", views.Cancel.as_view(), name="cancel"),
    path("explanations/<int:job_id>/pause", views.Pause.as_view(), name="pause"),
    path("explanations/<int:job_id>/resume", views.Resume.as_view(), name="resume"),
    path("explanations/<int:job_id>/rerun", views.Rerun.as_view(), name="rerun"),
    path("explanations/<int:job_id>/result", results.Result.as_view(), name="result"),
    path("explanations/<int:job_id>/receipt", results.Receipt.as_view(), name="receipt"),
    path("explanations/<int:job_id>/figures/<str:name>", results.FigureOf.as_view(), name="figure"),
    *analyses.urlpatterns,
]
