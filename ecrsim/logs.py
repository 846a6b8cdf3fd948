"""Log lines on standard error, as text or as JSON objects."""

from __future__ import annotations

import logging
import textwrap

import orjson

from ecrsim.core.clock import iso
from ecrsim.core.printable import printable


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": iso(int(record.created * 1000)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": printable(record.getMessage()),
        }
        if record.exc_info:
            entry["exception"] = printable(self.formatException(record.exc_info), lines=True)
        return orjson.dumps(entry).decode()


class _Text(logging.Formatter):
    """One line for a record. A trace follows on lines that are set in: none of them passes for a record."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{self.formatTime(record)} {record.levelname} {record.name}: {printable(record.getMessage())}"
        if record.exc_info:
            line += "\n" + textwrap.indent(printable(self.formatException(record.exc_info), lines=True), "  ")
        return line


def configure_logging(log_format: str) -> None:
    handler = logging.StreamHandler()
    if log_format == "json":
        handler.setFormatter(_Json())
    else:
        handler.setFormatter(_Text())
    root = logging.getLogger("ecrsim")
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    root.propagate = False
