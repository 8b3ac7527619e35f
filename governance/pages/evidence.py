"""Evidence as pages: what shows what for which version, the form that records a piece, and one piece."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from audit import queries as log
from audit.refusals import BadInput, Refusal
from governance import evidence, evidence_keys, evidence_signatures, queries, transfers
from governance.evidence_list import EvidenceFilter
from governance.models.evidence import SAYS, Evidence, EvidenceType
from governance.pages.person import signed_in
from governance.pages.safeguards import MOST_BYTES
from registry import environments
from registry import queries as registry_queries
from registry.models import Environment, ModelVersion
from registry.pages.listing import searched
from registry.pages.refused import at_fields

_DAY = forms.DateInput(attrs={"type": "date"})
#: Environments that the form offers.
MOST_OFFERED = 200


class EvidenceForm(forms.Form):
    """A document that shows something about a version. Days are in UTC; the last one counts whole."""

    type = forms.ChoiceField(label=gettext_lazy("What it shows"))
    version = forms.CharField(
        label=gettext_lazy("Version"), max_length=160, help_text=gettext_lazy("For example version:credit-scoring/2")
    )
    environment = forms.ChoiceField(
        label=gettext_lazy("Environment"),
        required=False,
        help_text=gettext_lazy("Leave it open when the document holds wherever the version serves."),
    )
    title = forms.CharField(label=gettext_lazy("Title"), max_length=200)
    author = forms.CharField(label=gettext_lazy("Who made it"), max_length=200)
    document_file = forms.FileField(
        label=gettext_lazy("The document itself"),
        required=False,
        help_text=gettext_lazy("At most 20 MB. Its SHA-256 is computed and recorded; the document is not kept."),
    )
    digest = forms.CharField(
        label=gettext_lazy("Or its digest"),
        required=False,
        max_length=71,
        help_text=gettext_lazy("sha256: and 64 hexadecimal digits, as you computed it."),
    )
    signature_file = forms.FileField(
        label=gettext_lazy("Signature"),
        required=False,
        help_text=gettext_lazy(
            "A DSSE envelope or a Sigstore bundle over a statement about the version’s files, at most 256 KiB. A key in"
            " force must have made it."
        ),
    )
    issued_at = forms.DateField(label=gettext_lazy("Made on"), widget=_DAY)
    expires_at = forms.DateField(
        label=gettext_lazy("Holds until"),
        required=False,
        widget=_DAY,
        help_text=gettext_lazy("Most rules accept no evidence without an end."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(kind.value, f"{kind.label}: {SAYS[kind]}") for kind in EvidenceType]
        self.fields["type"].choices = kinds  # type: ignore[attr-defined]
        slugs = list(Environment.objects.order_by("slug").values_list("slug", flat=True)[:MOST_OFFERED])
        asked = str(self.data.get("environment") or self.initial.get("environment") or "")
        if asked and asked not in slugs and Environment.objects.filter(slug=asked[:128]).exists():
            slugs.append(asked)
        places = [("", _("every environment")), *((slug, slug) for slug in slugs)]
        self.fields["environment"].choices = places  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any]:
        """With a document that is either uploaded or stated."""
        values = dict(super().clean() or {})
        upload, stated = values.get("document_file"), values.get("digest")
        if bool(upload) == bool(stated) and "digest" not in self.errors:
            self.add_error("digest", _("Upload the document or state its digest, one of them."))
        if upload and upload.size > MOST_BYTES:
            self.add_error("document_file", _("The document has more than 20 MB; state its digest instead."))
        signature = values.get("signature_file")
        if signature and signature.size > evidence_signatures.MOST_BYTES:
            self.add_error("signature_file", str(evidence_keys.SAYS["size"]))
        return values

    def envelope(self) -> bytes:
        """The signature file; empty when none was chosen."""
        upload: UploadedFile[Any] | None = self.cleaned_data["signature_file"]
        return upload.read() if upload else b""

    def version_meant(self) -> ModelVersion:
        """The version with this subject. Raises ``NotKnown``."""
        return registry_queries.version_by_subject(self.cleaned_data["version"].strip())

    def paper(self) -> evidence.Paper:
        """The document with its days as moments."""
        values = self.cleaned_data
        upload: UploadedFile[Any] | None = values["document_file"]
        ends = values["expires_at"]
        return evidence.Paper(
            digest=transfers.digest_of_document(upload.read()) if upload else values["digest"],
            title=values["title"],
            author=values["author"],
            issued_at=datetime.combine(values["issued_at"], time.min, UTC),
            expires_at=datetime.combine(ends, time.max, UTC).replace(microsecond=0) if ends else None,
        )


@require_safe
def evidence_list(request: HttpRequest) -> HttpResponse:
    """Evidence, newest first, filters in the address."""
    user = signed_in(request, "promotion.read")
    form = EvidenceFilter(request.GET)
    page = searched(request, form)
    now = timezone.now()
    rows: list[Evidence] = list(page.object_list) if page is not None else []
    context = {
        "filters": form,
        "form": form,
        "page": page,
        "filtered": page is not None and bool(form.chosen),
        "address": form.address,
        "rows": [(row, evidence.why_stale(row, at=now)) for row in rows],
        "ending": Evidence.objects.ending(now, now + timedelta(days=30)).count() if page is not None else 0,
        "names": queries.names({row.issued_by for row in rows}),
        "may": user.has_perm("evidence.change"),
    }
    return render(request, "governance/evidence_list.html", context, status=200 if page is not None else 400)


@require_http_methods(["GET", "HEAD", "POST"])
def record_evidence(request: HttpRequest) -> HttpResponse:
    """Put a piece on record."""
    user = signed_in(request, "promotion.read")
    asked = {name: request.GET.get(name, "") for name in ("version", "type", "environment")}
    form = EvidenceForm(request.POST or None, request.FILES or None, initial=asked)
    refusal: Refusal | None = None
    if request.method == "POST" and form.is_valid():
        try:
            user.require("evidence.change")
            slug = form.cleaned_data["environment"]
            row = evidence.record(
                form.cleaned_data["type"],
                form.version_meant(),
                form.paper(),
                environment=environments.find_environment(slug) if slug else None,
                envelope=form.envelope(),
                by=user.actor,
            )
        except Refusal as caught:
            refusal = at_fields(form, _at_the_file(caught))
        else:
            messages.success(request, _("On record. Rules that ask for it can rely on it from now on."))
            return redirect(row)
    context = {"form": form, "refusal": refusal, "may": user.has_perm("evidence.change")}
    status = refusal.status if refusal else 400 if form.is_bound else 200
    return render(request, "governance/evidence_record.html", context, status=status)


def _at_the_file(refusal: Refusal) -> Refusal:
    """What the API calls the envelope is a file on the form."""
    if isinstance(refusal, BadInput) and "envelope" in refusal.fields:
        return BadInput(refusal.sentence, code=refusal.code, fields={"signature_file": refusal.fields["envelope"]})
    return refusal


@require_safe
def evidence_detail(request: HttpRequest, reference: str) -> HttpResponse:
    """One piece, with what may be done about it."""
    return _page(request, reference)


@require_POST
def withdraw_evidence(request: HttpRequest, reference: str) -> HttpResponse:
    """No rule relies on it any more."""
    user = signed_in(request, "promotion.read")
    try:
        user.require("evidence.change")
        evidence.withdraw(reference, reason=request.POST.get("reason", ""), by=user.actor)
    except Refusal as refusal:
        return _page(request, reference, refusal)
    messages.success(request, _("Withdrawn. What serves is being decided again."))
    return redirect("governance:evidence_detail", reference)


def _page(request: HttpRequest, reference: str, refusal: Refusal | None = None) -> HttpResponse:
    user = signed_in(request, "promotion.read")
    row = evidence.find(reference)
    stale = evidence.why_stale(row, at=timezone.now())
    context = {
        "row": row,
        "stale": stale,
        "sentence": conclusion(row, stale),
        "history": log.history(row.subject, limit=20),
        "names": queries.names({row.issued_by, row.withdrawn_by}),
        "refusal": refusal,
        "given": request.POST if refusal else {},
        "may": user.has_perm("evidence.change"),
    }
    return render(request, "governance/evidence_detail.html", context, status=refusal.status if refusal else 200)


def conclusion(row: Evidence, stale: list[str]) -> str:
    """The first sentence of a piece's page."""
    told = {"reference": row.reference, "version": row.version.label, "why": ", ".join(stale)}
    if stale:
        return _("%(reference)s shows nothing for %(version)s any more: %(why)s.") % told
    if row.expires_at is None:
        return _("%(reference)s stands for %(version)s and has no end: most rules do not accept that.") % told
    day = f"{row.expires_at.astimezone(UTC):%Y-%m-%d}"
    return _("%(reference)s stands for %(version)s until %(day)s.") % {**told, "day": day}
