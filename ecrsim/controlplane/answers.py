"""Answers of the query protocol, which STS speaks, in XML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import escape
from typing import Any

_NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def document(action: str, result: Mapping[str, Any], request_id: str) -> bytes:
    """The XML answer of an action; `result` maps elements to values."""
    return (
        f'<{action}Response xmlns="{_NAMESPACE}"><{action}Result>{_elements(result)}</{action}Result>'
        f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata></{action}Response>"
    ).encode()


def _text(value: object) -> str:
    """Escape a text for XML; a control character, which XML cannot have, becomes a question mark."""
    return escape(_NO_XML.sub("?", str(value)), quote=False)


def _elements(values: Mapping[str, Any]) -> str:
    return "".join(
        f"<{name}>{_elements(value) if isinstance(value, dict) else _text(value)}</{name}>"
        for name, value in values.items()
    )


def error(code: str, message: str, request_id: str) -> bytes:
    """The XML answer of an error."""
    return (
        f'<ErrorResponse xmlns="{_NAMESPACE}"><Error><Type>Sender</Type><Code>{code}</Code>'
        f"<Message>{_text(message)}</Message></Error><RequestId>{request_id}</RequestId></ErrorResponse>"
    ).encode()
