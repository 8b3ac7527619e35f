"""Addresses of the API, below /api/v1/."""

from __future__ import annotations

from django.urls import path

from audit.api import exports, views

app_name = "audit-api"
urlpatterns = [
    path("log/entries.csv", exports.EntryTable.as_view(), name="entries_csv"),
    path("log/entries.xlsx", exports.EntryBook.as_view(), name="entries_xlsx"),
    path("audit/exports", exports.Exports.as_view(), name="exports"),
    path("audit/exports/<int:number>", exports.OneExport.as_view(), name="export"),
    path("audit/exports/<int:number>/file", exports.ExportFile.as_view(), name="export_file"),
    path("log/entries", views.EntryList.as_view(), name="entries"),
    path("log/entries/<int:index>", views.EntryView.as_view(), name="entry"),
]
