"""What the lists have in common: a form whose address is its only state, and the table of what it finds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlencode

from django import forms
from django.db.models import QuerySet
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from audit.refusals import BadInput
from registry import regions
from registry.models import Environment

Cell = str | int


def any_of(*choices: tuple[str, str | Promise]) -> list[tuple[str, str | Promise]]:
    """The choices of a filter, with the one that leaves it out."""
    return [("", _("any")), *choices]


class ListFilter(forms.Form):
    """Everything optional. A list says which rows it is about (``rows``) and what a table of them holds."""

    columns: ClassVar[tuple[str, ...]] = ()

    def rows(self) -> QuerySet[Any]:
        """What matches, with all that a page of it shows, in the order of the page."""
        raise NotImplementedError

    def found(self) -> QuerySet[Any]:
        """The same rows without what only the page shows."""
        return self.rows()

    def cells(self, row: Any) -> list[Cell]:
        """One row of the table, in the order of ``columns``."""
        raise NotImplementedError

    def table(self) -> Iterator[list[Cell]]:
        """Every row that matches, read in pieces."""
        return (self.cells(row) for row in self.rows().iterator(chunk_size=500))

    @property
    def chosen(self) -> dict[str, Any]:
        """Name and value of each filter that is chosen, as the address has them."""
        return {name: self.cleaned_data[name] for name in self.fields if self.cleaned_data.get(name)}

    @property
    def address(self) -> str:
        """The query string of this search, to add to: empty, or ``name=value&``."""
        return urlencode(self.chosen) + "&" if self.is_valid() and self.chosen else ""

    def require(self) -> None:
        """Raise ``BadInput`` that names every filter that cannot be understood."""
        if not self.is_valid():
            fields = {name: " ".join(map(str, errors)) for name, errors in self.errors.items()}
            sentence = "; ".join(f"{name}: {text}" for name, text in fields.items())
            raise BadInput(sentence, code="filter.invalid", fields=fields)


def must_be_in_order(form: forms.Form, values: Mapping[str, Any], first: str, last: str) -> None:
    """Add an error at ``last`` when a period ends before it begins: it finds nothing for a reason that nobody would
    guess."""
    begin, end = values.get(first), values.get(last)
    if begin and end and end < begin:
        form.add_error(last, gettext("The period ends before it begins."))


def existing_environment(value: str) -> str:
    """The slug, when it is empty or there is such an environment. Raises ``ValidationError``."""
    if value and not Environment.objects.filter(slug=value).exists():
        raise forms.ValidationError(gettext("There is no environment “%(slug)s”.") % {"slug": value[:128]})
    return value


def existing_region(value: str) -> str:
    """The region, when it is empty or known. Raises ``ValidationError`` that says what was probably meant."""
    try:
        return regions.lookup(value).id if value else ""
    except BadInput as refusal:
        raise forms.ValidationError(refusal.sentence) from None


def moment_text(moment: datetime | None) -> str:
    """RFC 3339 in UTC, as every table has it; empty for none."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if moment else ""
