"""The form that asks for an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext_lazy as _

from explain import queries
from explain.models import Method
from registry.models import Endpoint

if TYPE_CHECKING:
    _EndpointField = forms.ModelChoiceField[Endpoint]
else:
    _EndpointField = forms.ModelChoiceField


class _Served(_EndpointField):
    def label_from_instance(self, obj: Endpoint) -> str:
        return f"{obj.version.label} · {obj.name} ({obj.environment.slug})"


class RequestForm(forms.Form):
    """Rows and background are pasted or uploaded; ``explain.tables`` reads them."""

    endpoint = _Served(
        label=_("Served version"), queryset=Endpoint.objects.none(), help_text=_("The model is asked where it serves.")
    )
    method = forms.ChoiceField(
        label=_("Method"),
        choices=Method.choices,
        help_text=_("SHAP adds up to the prediction. LIME is a local approximation; the two are never mixed."),
    )
    rows = forms.CharField(
        label=_("Rows to explain"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "dir": "ltr"}),
        help_text=_("JSON (a list of objects, or columns and data) or CSV with a header; up to 500."),
    )
    rows_file = forms.FileField(label=_("or a file of rows"), required=False)
    background = forms.CharField(
        label=_("Background"),
        required=False,
        widget=forms.Textarea(attrs={"rows": 6, "spellcheck": "false", "dir": "ltr"}),
        help_text=_("What the rows are compared with: 10 to 500 typical rows in the same form; 100 is usual."),
    )
    background_file = forms.FileField(label=_("or a file of background rows"), required=False)
    tol = forms.DecimalField(
        label=_("Tolerance"),
        initial="0.05",
        min_value=0.001,
        max_value=0.5,
        help_text=_("SHAP stops when the 95 % interval is within this share of the largest contribution."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        initial=0,
        min_value=0,
        help_text=_("The same question with the same seed has the same answer."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = queries.endpoints()  # type: ignore[attr-defined]

    def text_of(self, name: str) -> str:
        """The pasted text, or the uploaded file's. Raises ``UnicodeDecodeError`` for a file that is not UTF-8."""
        upload = self.cleaned_data.get(f"{name}_file")
        return str(upload.read().decode("utf-8-sig") if upload else self.cleaned_data[name])
