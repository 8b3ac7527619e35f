"""The options of each protocol: what an endpoint may say about how it is called, checked when it says so."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from audit.refusals import BadInput
from registry.models.environments import Protocol
from registry.serving import credentials, language

#: Datatypes of tensors that rows can be sent as.
DATATYPES = ("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64")
#: Levels of options: a mapping has one more than its template.
DEEPEST = language.DEEPEST + 2
#: Bytes of all options of an endpoint as JSON.
LARGEST = 8_000


@dataclass(frozen=True, slots=True)
class Option:
    """``reads`` answers what is wrong with a value, empty when nothing is."""

    reads: Callable[[Any], str]
    help: str | Promise


def _text(value: Any) -> str:
    good = isinstance(value, str) and value and len(value) <= 200 and value.isprintable()
    return "" if good else _("text of 1 to 200 characters")


def _choice(*allowed: Any) -> Callable[[Any], str]:
    def reads(value: Any) -> str:
        if any(type(value) is type(each) and value == each for each in allowed):
            return ""
        return _("one of %(allowed)s") % {"allowed": ", ".join(json.dumps(each) for each in allowed)}

    return reads


def _object(value: Any) -> str:
    return "" if isinstance(value, dict) else _("an object")


def _datatype(value: Any) -> str:
    if isinstance(value, dict):
        wrong = [name for name, each in value.items() if each not in (*DATATYPES, "BYTES")]
    else:
        wrong = [] if value in (*DATATYPES, "BYTES") else [value]
    return (
        _("one of %(allowed)s, or an object of column and datatype") % {"allowed": ", ".join(DATATYPES)}
        if wrong
        else ""
    )


def _whole(least: int, most: int) -> Callable[[Any], str]:
    def reads(value: Any) -> str:
        good = type(value) is int and least <= value <= most
        return "" if good else _("a whole number from %(least)d to %(most)d") % {"least": least, "most": most}

    return reads


def _anything(_value: Any) -> str:
    return ""


_MODEL = Option(_text, gettext_lazy("The model's name, when the address has no path."))
_MODEL_VERSION = Option(_text, gettext_lazy("The model's version, when the address has no path."))
_OUTPUT = Option(_text, gettext_lazy("Which output to read, when there are several."))
_ANSWER_KEY = Option(_text, gettext_lazy("Where the list of predictions is in the answer."))
_ROWS = Option(_choice("lists", "named", "columns"), gettext_lazy("Rows as lists, as named objects, or as columns."))
_EXTRA = Option(_object, gettext_lazy("Added to the body of every request."))
_INSTANCES = {
    "body_key": Option(_text, gettext_lazy("Where the rows are in the body.")),
    "answer_key": _ANSWER_KEY,
    "rows": _ROWS,
    "output": _OUTPUT,
    "extra": _EXTRA,
}
_MLFLOW = {
    "format": Option(
        _choice("split", "records", "inputs", "parquet"), gettext_lazy("How callers in production send rows.")
    ),
    "params": Option(_object, gettext_lazy("Parameters that go with every request.")),
    "answer_key": _ANSWER_KEY,
    "output": _OUTPUT,
}
_V2 = {
    "model": _MODEL,
    "model_version": _MODEL_VERSION,
    "layout": Option(_choice("tensor", "columns"), gettext_lazy("One tensor of all columns, or one for each.")),
    "content_type": Option(_text, gettext_lazy("“pd” makes MLServer build a data frame, one tensor a column.")),
    "input": Option(_text, gettext_lazy("The name of the tensor.")),
    "datatype": Option(_datatype, gettext_lazy("The datatype of the tensor, or of each column.")),
    "output": Option(_text, gettext_lazy("Which output to ask for, for example predict_proba.")),
    "nan": Option(_choice("null", "NaN"), gettext_lazy("How JSON writes a missing number.")),
    "parameters": Option(_object, gettext_lazy("Parameters that go with every request.")),
    "binary": Option(_choice(True, False, "only"), gettext_lazy("Whether tensors may travel as raw bytes.")),
}
_EVERYWHERE = {
    "largest_batch": Option(_whole(1, 20_000), gettext_lazy("Rows of one request at most.")),
}
#: Protocol -> key -> option.
OPTIONS: dict[str, dict[str, Option]] = {
    protocol: {**own, **_EVERYWHERE}
    for protocol, own in {
        Protocol.MLFLOW: _MLFLOW,
        Protocol.SAGEMAKER: _MLFLOW,
        Protocol.V2: _V2,
        Protocol.V1: {"model": _MODEL, "model_version": _MODEL_VERSION, **_INSTANCES},
        Protocol.SELDON_V1: {
            "rows": Option(_choice("ndarray", "tensor"), gettext_lazy("Rows as lists, or as a tensor."))
        },
        Protocol.BENTOML: _INSTANCES,
        Protocol.RAY: _INSTANCES,
        Protocol.VERTEX: _INSTANCES,
        Protocol.AZUREML: _INSTANCES,
        Protocol.HTTP_JSON: {
            "request": Option(_anything, gettext_lazy("The template of the request.")),
            "response": Option(_anything, gettext_lazy("The path to the outputs, or a list of paths.")),
        },
    }.items()
}


def check(protocol: str, given: Any, *, columns: Sequence[str] | None = None) -> dict[str, Any]:
    """The options of an endpoint of ``protocol``. Raises ``BadInput`` on ``options`` that names the key.

    ``columns``: the inputs of the model as its schema names them, when it has one.
    """
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise _bad(_("Options are an object of keys and values."))
    known = OPTIONS[protocol]
    for key, value in given.items():
        if key not in known:
            raise _bad(
                _("The protocol %(protocol)s has no option “%(key)s”; it has %(known)s.")
                % {"protocol": protocol, "key": str(key)[:60], "known": ", ".join(sorted(known))}
            )
        if expected := known[key].reads(value):
            raise _bad(_("Option “%(key)s” must be %(expected)s.") % {"key": key, "expected": expected})
    options = dict(given)
    _look_through(options, "", depth=0)
    try:
        written = json.dumps(options, allow_nan=False)
    except ValueError:
        raise _bad(_("Options hold no NaN and no infinity.")) from None
    if len(written) > LARGEST:
        raise _bad(_("Options take at most %(count)d bytes.") % {"count": LARGEST})
    if protocol == Protocol.HTTP_JSON:
        _check_mapping(options, columns)
    return options


def _check_mapping(options: Mapping[str, Any], columns: Sequence[str] | None) -> None:
    missing = next((key for key in ("request", "response") if key not in options), "")
    if missing:
        raise _bad(_("An endpoint that is described by a mapping needs the option “%(key)s”.") % {"key": missing})
    try:
        one_row = language.check_request(options["request"], columns=columns)
        language.parse_paths(options["response"], one_row=one_row)
    except language.MappingProblem as error:
        raise _bad(str(error)) from error


def _look_through(node: Any, place: str, *, depth: int) -> None:
    """Refuse what looks like a password (options are shown on a page and stand in the log for ever), what the database
    cannot hold, and what is nested without end.
    """
    if depth > DEEPEST:
        raise _bad(_("Options are nested too deeply."))
    if isinstance(node, str) and "\x00" in node:
        raise _bad(_("Options hold no NUL character."))
    if isinstance(node, list):
        for each in node:
            _look_through(each, place, depth=depth + 1)
    elif isinstance(node, dict):
        for key, each in node.items():
            if credentials.SECRETIVE.search(str(key)) and _says_text(each):
                raise _bad(
                    _("Option “%(key)s” looks like a secret, and options are stored and shown: use “credential”.")
                    % {"key": f"{place}{key}"[:80]}
                )
            _look_through(str(key), place, depth=depth)
            _look_through(each, f"{place}{key}.", depth=depth + 1)


def _says_text(node: Any) -> bool:
    """Whether there is text in it that is not a word of a mapping: ``{"token": {"$cell": "token"}}`` is no secret."""
    if isinstance(node, list):
        return any(map(_says_text, node))
    if isinstance(node, dict):
        return any(not key.startswith("$") and _says_text(each) for key, each in node.items())
    return isinstance(node, str)


def _bad(sentence: str) -> BadInput:
    return BadInput(sentence, code="endpoint.options", fields={"options": sentence})
