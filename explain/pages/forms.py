"""The form that asks for an explanation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as translated
from django.utils.translation import gettext_lazy as _

from explain import queries
from explain.models import Algorithm, Level, Method, Scale
from explain.requests import BUDGET, LEAST_SAMPLE, MOST_BACKGROUND, MOST_ROWS, MOST_SAMPLED
from registry.models import Dataset, Endpoint

if TYPE_CHECKING:
    _EndpointField = forms.ModelChoiceField[Endpoint]
    _DatasetField = forms.ModelChoiceField[Dataset]
else:
    _EndpointField = _DatasetField = forms.ModelChoiceField

#: Bytes of rows that a page takes; more go through the API.
MOST_BYTES = 10 * 2**20


class _Served(_EndpointField):
    def label_from_instance(self, obj: Endpoint) -> str:
        return f"{obj.version.label} · {obj.name} ({obj.environment.slug})"


def _pasted(rows: int = 6) -> forms.Textarea:
    return forms.Textarea(attrs={"rows": rows, "spellcheck": "false", "dir": "ltr", "class": "source"})


class RequestForm(forms.Form):
    """Rows and background are pasted or uploaded; ``explain.tables`` reads them. What is empty, the level decides."""

    endpoint = _Served(
        label=_("Served version"), queryset=Endpoint.objects.none(), help_text=_("The model is asked where it serves.")
    )
    method = forms.ChoiceField(
        label=_("Method"),
        choices=Method.choices,
        help_text=_("SHAP adds up to the prediction. LIME is a local approximation; the two are never mixed."),
    )
    level = forms.ChoiceField(
        label=_("Precision"),
        choices=Level.choices,
        initial=Level.STANDARD,
        required=False,
        help_text=_("How far the largest contribution of a row may be off; the error of each value is stated."),
    )
    dataset = _DatasetField(
        label=_("Data set"),
        queryset=Dataset.objects.none(),
        required=False,
        help_text=_(
            "Rows are drawn from it where its file lies with a tracking server or in a folder that the operator named. "
            "Else paste or upload them."
        ),
    )
    draw_rows = forms.IntegerField(
        label=_("Rows to draw"), required=False, min_value=0, max_value=MOST_SAMPLED, help_text=_("From the data set.")
    )
    draw_background = forms.IntegerField(
        label=_("Background to draw"),
        required=False,
        min_value=0,
        max_value=MOST_BACKGROUND,
        help_text=_("Other rows of the same data set; 100 is usual."),
    )
    draw_seed = forms.IntegerField(
        label=_("Seed of the draw"),
        required=False,
        initial=0,
        min_value=0,
        help_text=_("The same seed, the same rows."),
    )
    rows = forms.CharField(
        label=_("Rows to explain"),
        required=False,
        widget=_pasted(),
        help_text=_("JSON (a list of objects, or columns and data) or CSV with a header; up to 500."),
    )
    rows_file = forms.FileField(label=_("or a file of rows"), required=False)
    background = forms.CharField(
        label=_("Background"),
        required=False,
        widget=_pasted(),
        help_text=_("What the rows are compared with: 10 to 500 typical rows in the same form; 100 is usual."),
    )
    background_file = forms.FileField(label=_("or a file of background rows"), required=False)
    sample = forms.IntegerField(
        label=_("Sample"),
        required=False,
        min_value=LEAST_SAMPLE,
        max_value=MOST_ROWS,
        help_text=_(
            "For a global explanation: give up to 5,000 rows, and so many of them are explained, spread evenly over "
            "the predictions. 200 is usual."
        ),
    )
    algorithm = forms.ChoiceField(
        label=_("Algorithm"),
        choices=Algorithm.choices,
        initial=Algorithm.AUTO,
        required=False,
        help_text=_("The rules choose the cheapest one that is right for this model, and say why."),
    )
    scale = forms.ChoiceField(
        label=_("Scale"),
        required=False,
        choices=[("", _("as the endpoint’s contract says")), *Scale.choices],
        help_text=_("Another scale is another question with other answers."),
    )
    of_class = forms.CharField(
        label=_("Class"), required=False, max_length=64, help_text=_("Empty: the class of the endpoint’s contract.")
    )
    groups = forms.CharField(
        label=_("Groups"),
        required=False,
        widget=_pasted(3),
        help_text=_("Columns that are read as one feature, a group on each line. For example: Address: city, region"),
    )
    subject_column = forms.CharField(
        label=_("Column that names the person"),
        required=False,
        max_length=128,
        help_text=_("It is taken out of the rows, so that the model does not see it, and lets the person be erased."),
    )
    budget = forms.IntegerField(
        label=_("Budget"),
        required=False,
        min_value=1_000,
        max_value=BUDGET,
        help_text=_("Model rows that may be scored at most; 2,000,000 when it is empty."),
    )
    tol = forms.DecimalField(
        label=_("Tolerance"),
        required=False,
        min_value=0.001,
        max_value=0.5,
        help_text=_("Instead of the precision above: the share of the largest contribution, for example 0.05."),
    )
    seed = forms.IntegerField(
        label=_("Seed"),
        initial=0,
        min_value=0,
        required=False,
        help_text=_("The same question with the same seed has the same answer."),
    )

    #: What most people leave as it is.
    MORE = ("algorithm", "scale", "of_class", "groups", "subject_column", "budget", "tol", "seed")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["endpoint"].queryset = queries.endpoints()  # type: ignore[attr-defined]
        self.fields["dataset"].queryset = Dataset.objects.order_by("name")  # type: ignore[attr-defined]

    @property
    def common(self) -> list[forms.BoundField]:
        """The fields that everybody reads."""
        return [field for field in self if field.name not in self.MORE]

    @property
    def more(self) -> list[forms.BoundField]:
        """The others."""
        return [self[name] for name in self.MORE]

    @property
    def more_matters(self) -> bool:
        """Whether one of the others was filled in, or is wrong."""
        usual = {"", "0", str(Algorithm.AUTO), "None"}
        return any(field.errors or str(field.value()) not in usual for field in self.more)

    def clean(self) -> dict[str, Any]:
        """With the text of uploaded files in the place of pasted text."""
        values = dict(super().clean() or {})
        for name in ("rows", "background"):
            upload = values.get(f"{name}_file")
            if upload is None:
                continue
            if upload.size > MOST_BYTES:
                self.add_error(f"{name}_file", translated("The file has more than 10 MB; send it through the API."))
                continue
            try:
                values[name] = upload.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                self.add_error(f"{name}_file", translated("The file is not text in UTF-8."))
        return values

    def clean_groups(self) -> str:
        """Lines of a name, a colon and columns."""
        text = str(self.cleaned_data["groups"])
        read_groups(text)
        return text

    def draw(self) -> dict[str, Any] | None:
        """What ``explain.drawing.into`` reads; None without a data set."""
        values = self.cleaned_data
        if values["dataset"] is None:
            return None
        return {
            "dataset": values["dataset"].name,
            "rows": values["draw_rows"] or 0,
            "background": values["draw_background"] or 0,
            "seed": values["draw_seed"] or 0,
            "subject_column": values["subject_column"].strip(),
        }

    def asked(self) -> dict[str, Any]:
        """The words of ``explain.requests.Asked`` but for the rows."""
        values = self.cleaned_data
        found: dict[str, Any] = {
            "method": values["method"],
            "level": values["level"] or Level.STANDARD,
            "algorithm": values["algorithm"] or Algorithm.AUTO,
            "seed": values["seed"] or 0,
            "tol": values["tol"],
            "scale": values["scale"] or None,
            "of_class": values["of_class"].strip() or None,
            "groups": read_groups(values["groups"]) or None,
            "sample": values["sample"],
            "budget": values["budget"],
        }
        return found


def read_groups(text: str) -> dict[str, list[str]]:
    """``{"Address": ["city", "region"]}`` from lines. Raises ``ValidationError`` with the line."""
    found: dict[str, list[str]] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, colon, columns = line.partition(":")
        members = [column.strip() for column in columns.split(",") if column.strip()]
        if not colon or not name.strip() or not members:
            sentence = translated("Line %(line)d: write a name, a colon and the columns, with commas between them.")
            raise forms.ValidationError(sentence % {"line": number})
        if name.strip() in found:
            raise forms.ValidationError(
                translated("Line %(line)d: the group “%(name)s” occurs twice.") % {"line": number, "name": name.strip()}
            )
        found[name.strip()] = members
    return found


def written_groups(groups: Mapping[str, list[str]] | None) -> str:
    """The text that ``read_groups`` reads."""
    return "\n".join(f"{name}: {', '.join(columns)}" for name, columns in (groups or {}).items())


class ErasureForm(forms.Form):
    """Whose rows go, and why."""

    subject = forms.CharField(
        label=_("The person, as the questions named them"),
        max_length=256,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "dir": "auto"}),
        help_text=_(
            "For example a customer number. It is not stored and not logged: only a keyed hash finds the rows."
        ),
    )
    reason = forms.CharField(
        label=_("Reason"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("The log keeps it. Do not name the person here."),
    )
    sure = forms.BooleanField(label=_("I checked that no law, authority or dispute requires these rows to be kept."))
