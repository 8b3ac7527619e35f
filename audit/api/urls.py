"""Addresses of the API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from audit.api import views

app_name = "audit-api"
urlpatterns = [
    path("log/entries", views.EntryList.as_view(), name="entries"),
    path("log/entries/<int:index>", views.EntryView.as_view(), name="entry"),
]
