"""Pages that belong to no app."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.urls import path
from django.views.i18n import set_language

from config.pages.find import find
from config.pages.theme import change_theme

app_name = "config"
urlpatterns = [
    path("find", find, name="find"),
    path("theme", change_theme, name="theme"),
    path("language", login_not_required(set_language), name="language"),
]
