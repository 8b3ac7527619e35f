"""Pointing a fresh process of the tests at a database that another one made."""

from __future__ import annotations

from django.conf import settings

from tests.conftest import use_database


def use(url: str, keys_url: str) -> None:
    """Connect Django to ``url``, and the keys to ``keys_url``."""
    settings.SUBJECT_KEYS_DATABASE_URL = keys_url
    settings.ALLOWED_HOSTS = ["127.0.0.1"]
    use_database(url)
