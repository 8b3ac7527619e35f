"""Bodies of the API: JSON whose strings are text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import ParseError
from rest_framework.parsers import JSONParser


class TextJSONParser(JSONParser):
    """Refuses half of a surrogate pair: ``"\\ud800"`` is allowed by RFC 8259 (section 8.2) and can be neither stored,
    hashed nor repeated in an answer.
    """

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        """The body. Raises ParseError (400)."""
        data = super().parse(stream, media_type, parser_context)
        try:
            json.dumps(data, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error - half of a surrogate pair is no character") from error
        return data
