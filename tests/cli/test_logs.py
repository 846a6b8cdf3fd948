"""Log lines: one line each on standard error, as text or as a JSON object."""

import json
import logging
import re

import pytest

from ecrsim.logs import configure_logging


@pytest.fixture
def lines(capsys):
    """Log something in that format; the lines on standard error."""
    root = logging.getLogger("ecrsim")
    before = root.handlers[:], root.level, root.propagate

    def lines(log_format):
        configure_logging(log_format)
        log = logging.getLogger("ecrsim.test")
        log.debug("not shown")
        log.info("%d layers", 3)
        try:
            raise ValueError("of ecrsim")
        except ValueError:
            log.exception("failed")
        captured = capsys.readouterr()
        assert captured.out == ""
        return captured.err.splitlines()

    yield lines
    root.handlers[:], root.level, root.propagate = before


def test_text_has_time_level_and_logger(lines):
    first, second, *trace = lines("text")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} INFO ecrsim\.test: 3 layers", first)
    assert second.endswith("ERROR ecrsim.test: failed")
    assert trace[-1] == "  ValueError: of ecrsim"


def test_json_is_one_object_for_each_line_traces_included(lines):
    first, second = map(json.loads, lines("json"))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first.pop("time"))
    assert first == {"level": "info", "logger": "ecrsim.test", "message": "3 layers"}
    assert (second["level"], second["message"]) == ("error", "failed")
    assert second["exception"].endswith("ValueError: of ecrsim")


HOSTILE = "/v2/a\n2026-01-01 00:00:00,000 INFO ecrsim: forged\x1b[2J\u202e\ud800"


def hostile(log_format, capsys):
    configure_logging(log_format)
    log = logging.getLogger("ecrsim.test")
    log.info("GET %s", HOSTILE)
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        log.exception("failed")
    return capsys.readouterr().err


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_text_from_outside_makes_no_line_and_moves_no_terminal(log_format, capsys, lines):
    written = hostile(log_format, capsys)
    assert all(character.isprintable() or character == "\n" for character in written)
    if log_format == "json":
        assert [json.loads(line)["level"] for line in written.splitlines()] == ["info", "error"]
    else:
        records = [line for line in written.splitlines() if not line.startswith("  ")]
        assert [record.split()[2] for record in records] == ["INFO", "ERROR"]
        assert "\\n2026-01-01" in records[0]


def test_configuring_twice_does_not_log_twice(lines):
    lines("text")
    assert len(lines("json")) == 2
