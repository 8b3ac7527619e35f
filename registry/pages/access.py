"""Who may read the registry's pages."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from audit.refusals import NotPermitted

Answer = TypeVar("Answer", bound=HttpResponseBase)


def readable(view: Callable[..., Answer]) -> Callable[..., Answer]:
    """A GET page for those who may read the registry. Raises NotPermitted for everybody else."""

    @require_safe
    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Answer:
        if not request.user.has_perm("registry.read"):
            raise NotPermitted(_("Reading the registry needs a role."), code="access.registry.read")
        return view(request, *args, **kwargs)

    return guarded
