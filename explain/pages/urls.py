"""Addresses of the explanation pages."""

from __future__ import annotations

from django.urls import path

from explain.pages import analyses, views

app_name = "explain"
urlpatterns = [
    path("explanations", views.explanations, name="explanations"),
    path("explanations/new", views.request_explanation, name="request"),
    path("explanations/<int:job_id>", views.explanation, name="explanation"),
    path("explanations/<int:job_id>/cancel", views.cancel, name="cancel"),
    path("explanations/<int:job_id>/receipt.json", views.receipt, name="receipt"),
    *analyses.urlpatterns,
]
