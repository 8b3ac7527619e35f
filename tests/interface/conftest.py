"""The tags are tested against addresses of their own: a tag must not fail because another app's page does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.template import Context, engines
from django.test import override_settings
from django.utils import translation

Render = Callable[..., str]


@pytest.fixture
def render() -> Any:
    """``render("{% status 'passed' %}", name=value)``: the text of a template with the project's builtins."""

    def rendered(source: str, **values: object) -> str:
        engine = engines["django"].engine  # type: ignore[attr-defined]
        return str(engine.from_string(source).render(Context(values)))

    with override_settings(ROOT_URLCONF="tests.interface.gallery.urls"):
        yield rendered


@pytest.fixture(autouse=True)
def _own_language() -> Iterator[None]:
    """A request in Arabic leaves its language active in the thread, as on a server until the next request."""
    yield
    translation.deactivate()
