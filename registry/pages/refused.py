"""Where a refusal is shown on a form, for this app's pages and those above it."""

from __future__ import annotations

from django import forms

from audit.refusals import BadInput, Refusal


def at_fields(form: forms.Form, refusal: Refusal | None) -> Refusal | None:
    """Put what a refusal says about fields of ``form`` at those fields. Returns what the page must still say."""
    if not isinstance(refusal, BadInput) or not refusal.fields or not refusal.fields.keys() <= form.fields.keys():
        return refusal
    for name, sentence in refusal.fields.items():
        form.add_error(name, sentence)
    return None
