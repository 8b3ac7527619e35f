"""Addresses of the explanation pages."""

from __future__ import annotations

from django.urls import path

from explain.pages import analyses, asking, changing, comparing, erasing, listing, showing

app_name = "explain"
urlpatterns = [
    path("explanations", listing.explanations, name="explanations"),
    path("explanations/new", asking.request_explanation, name="request"),
    path("explanations/compare", comparing.compare, name="compare"),
    path("explanations/erase", erasing.erase, name="erase"),
    path("explanations/<int:job_id>", showing.explanation, name="explanation"),
    path("explanations/<int:job_id>/cancel", changing.cancel, name="cancel"),
    path("explanations/<int:job_id>/pause", changing.pause, name="pause"),
    path("explanations/<int:job_id>/resume", changing.resume, name="resume"),
    path("explanations/<int:job_id>/rerun", changing.rerun, name="rerun"),
    path("explanations/<int:job_id>/receipt.json", showing.receipt, name="receipt"),
    *analyses.urlpatterns,
]
