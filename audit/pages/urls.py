"""Addresses of the pages."""

from __future__ import annotations

from django.urls import path

from audit.pages import views

app_name = "audit"
urlpatterns = [
    path("log", views.log, name="log"),
    path("log/checkpoint", views.checkpoint, name="checkpoint"),
    path("log/vkey", views.vkey, name="vkey"),
    path("log/<int:index>", views.entry, name="entry"),
    path("log/<int:index>.tlog-proof", views.proof, name="proof"),
    path("verify", views.verify, name="verify"),
]
