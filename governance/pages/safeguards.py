"""The form that records a transfer safeguard: a page of its own, because it asks for a whole file."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods

from audit.refusals import Refusal
from governance import transfers
from governance.models.transfer import ELEMENTS, DigestBasis, SafeguardType
from governance.pages.person import signed_in
from registry.models import Perimeter
from registry.pages.refused import at_fields

#: Bytes of a document whose digest is computed here.
MOST_BYTES = 20 * 1024**2
_DAY = forms.DateInput(attrs={"type": "date"})


class SafeguardForm(forms.Form):
    """A mechanism with its document, parties, end and risk assessment. Dates end with the day in UTC."""

    reference = forms.SlugField(
        label=gettext_lazy("Reference"), max_length=40, help_text=gettext_lazy("For example TS-1.")
    )
    type = forms.ChoiceField(label=gettext_lazy("Mechanism"), choices=SafeguardType.choices)
    law = forms.ChoiceField(
        label=gettext_lazy("Made under the law of"),
        choices=[("", "—"), *Perimeter.choices],
        help_text=gettext_lazy("It excuses under no other law: clauses that one law knows are paper under another."),
    )
    document = forms.CharField(label=gettext_lazy("Document"), max_length=300)
    document_file = forms.FileField(
        label=gettext_lazy("The document itself"),
        required=False,
        help_text=gettext_lazy("At most 20 MB. Its SHA-256 is computed and recorded; the document is not kept."),
    )
    document_digest = forms.CharField(
        label=gettext_lazy("Or its digest"),
        required=False,
        max_length=71,
        help_text=gettext_lazy("sha256: and 64 hexadecimal digits, as you computed it."),
    )
    exporter = forms.CharField(label=gettext_lazy("Who sends the data"), required=False, max_length=200)
    importer = forms.CharField(label=gettext_lazy("Who receives them"), required=False, max_length=200)
    subjects = forms.CharField(
        label=gettext_lazy("Covers"),
        help_text=gettext_lazy("Subjects, separated by spaces: dataset:loans-2026q3 environment:dr-frankfurt"),
    )
    regions = forms.CharField(
        label=gettext_lazy("In the regions"), help_text=gettext_lazy("provider:region, separated by spaces")
    )
    expires_at = forms.DateField(label=gettext_lazy("Ends on"), widget=_DAY)
    risk_assessment_at = forms.DateField(
        label=gettext_lazy("Transfer risk assessed on"),
        required=False,
        widget=_DAY,
        help_text=gettext_lazy("With this day, all six elements below are needed."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for letter in ELEMENTS:
            self.fields[f"element_{letter}"] = forms.CharField(
                label=f"{letter}. {transfers.ELEMENT_TITLES[letter]}",
                required=False,
                max_length=transfers.MOST_TEXT,
                widget=forms.Textarea(attrs={"rows": 2}),
            )

    def clean(self) -> dict[str, Any]:
        """With a document that is not both uploaded and stated, and all of an assessment or nothing of it."""
        values = dict(super().clean() or {})
        if values.get("document_file") and values.get("document_digest"):
            self.add_error("document_digest", _("Upload the document or state its digest, not both."))
        if (upload := values.get("document_file")) and upload.size > MOST_BYTES:
            self.add_error("document_file", _("The document has more than 20 MB; state its digest instead."))
        elements = [f"element_{letter}" for letter in ELEMENTS]
        if values.get("risk_assessment_at") or any(values.get(name) for name in elements):
            for name in elements:
                if not values.get(name) and name not in self.errors:
                    self.add_error(name, _("An assessment has all six elements."))
        return values

    @property
    def facts(self) -> list[forms.BoundField]:
        """The fields above the assessment's elements."""
        return [field for field in self if not field.name.startswith("element_")]

    @property
    def elements(self) -> list[forms.BoundField]:
        """The six elements."""
        return [field for field in self if field.name.startswith("element_")]

    def given(self) -> dict[str, Any]:
        """The arguments of ``transfers.record``."""
        values = self.cleaned_data
        upload: UploadedFile[Any] | None = values["document_file"]
        digest = transfers.digest_of_document(upload.read()) if upload else values["document_digest"]
        assessed = values["risk_assessment_at"]
        return {
            **{name: values[name] for name in ("type", "law", "document", "exporter", "importer")},
            "document_digest": digest,
            "digest_basis": DigestBasis.UPLOADED if upload else DigestBasis.STATED,
            "subjects": values["subjects"].split(),
            "regions": values["regions"].split(),
            "expires_at": datetime.combine(values["expires_at"], time.max, UTC).replace(microsecond=0),
            "risk_assessment_at": datetime.combine(assessed, time.min, UTC) if assessed else None,
            "assessment": {letter: values[f"element_{letter}"] for letter in ELEMENTS if values[f"element_{letter}"]},
        }


@require_http_methods(["GET", "HEAD", "POST"])
def record_transfer(request: HttpRequest) -> HttpResponse:
    """Propose a safeguard; a second person approves it on its page."""
    user = signed_in(request, "promotion.read")
    form = SafeguardForm(request.POST or None, request.FILES or None)
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("transfer.change")
            made = transfers.record(form.cleaned_data["reference"], **form.given(), by=user.actor)
        except Refusal as caught:
            refusal = at_fields(form, caught)
        else:
            messages.success(request, _("Recorded. A second person must approve it before it counts."))
            return redirect("governance:transfer", made.reference)
    context = {"form": form, "refusal": refusal, "may": user.has_perm("transfer.change"), "now": timezone.now()}
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/transfer_record.html", context, status=status)
