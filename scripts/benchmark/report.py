"""The table: printed, written as JSON, and put between two markers into docs/performance.md."""

import json
import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmark.figures import BenchError, Comparison, Figure, Row
from benchmark.run import Run

BEGIN, END = "<!-- bench: begin -->", "<!-- bench: end -->"
HEAD = ("what", "unit", "ecrsim", "value", "peer", "value", "ratio", "target", "reached")
BUSY = 0.9
SHORT = 40
NONE = "-"


def lines(rows: Sequence[Row]) -> list[tuple[str, ...]]:
    """The table without its head, cells as text."""
    return [_line(row, comparison) for row in rows for comparison in row.comparisons]


def _line(row: Row, comparison: Comparison) -> tuple[str, ...]:
    ours = row.figures.get(comparison.ours, Figure(None, "not measured"))
    peer = row.figures.get(comparison.peer) if comparison.peer else None
    ratio = ours.value / peer.value if ours.value is not None and peer and peer.value else None
    reached = NONE
    if comparison.goal and ours.value is not None:
        verdict = comparison.goal.reached(ours.value, ratio)
        reached = NONE if verdict is None else "yes" if verdict else "no"
    return (
        row.what,
        row.unit,
        comparison.ours,
        _value(ours),
        comparison.peer or NONE,
        _value(peer) if peer else NONE,
        f"{ratio:.3g}x" if ratio is not None else NONE,
        comparison.goal.text(row.unit) if comparison.goal else NONE,
        reached,
    )


def _value(figure: Figure) -> str:
    if figure.value is None:
        reason = _here(figure.reason)
        return reason if len(reason) <= SHORT else reason[: SHORT - 1] + "…"
    value = figure.value
    text = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
    # A load that used its whole core has measured itself, not the server.
    busy = figure.detail.get("load busy", 0.0)
    return text + (" (load-bound)" if isinstance(busy, float) and busy > BUSY else "")


def _here(reason: str) -> str:
    """A reason without the place of this checkout, which is nobody else's business."""
    return reason.replace(f"{Path(__file__).resolve().parents[2]}/", "")


def plain(rows: Sequence[Row]) -> str:
    """The table for a terminal."""
    table = [HEAD, *lines(rows)]
    widths = [max(len(line[column]) for line in table) for column in range(len(HEAD))]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in table]
    return "\n".join([*text, *(f"- {reason}" for reason in reasons(rows))])


def markdown(rows: Sequence[Row], facts: Mapping[str, str]) -> str:
    """The facts of the run, the table, and what lies behind each value."""
    text = [f"- {name}: {value}" for name, value in facts.items()]
    text += ["", _md(HEAD), _md(["---"] * len(HEAD)), *(_md(line) for line in lines(rows))]
    text += [
        "",
        *(f"- {reason}" for reason in reasons(rows)),
        "",
        "Behind the values (all trials, in the row's unit; best taken):",
        "",
        _md(("what", "server", "detail")),
    ]
    text.append(_md(["---"] * 3))
    for row in rows:
        for label, figure in row.figures.items():
            if figure.detail and not label.startswith("itself"):
                detail = " · ".join(f"{name} {_detail(value)}" for name, value in figure.detail.items())
                text.append(_md((row.what, label, detail)))
    return "\n".join(text)


def reasons(rows: Sequence[Row]) -> list[str]:
    """Why values are missing, in full, each reason once."""
    found: dict[str, None] = {}
    for row in rows:
        for label, figure in row.figures.items():
            if figure.value is None and not label.startswith("itself"):
                found[f"{label}: {_here(figure.reason)}"] = None
    return list(found)


def _detail(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:,.4g}" if value < 1000 else f"{value:,.0f}"


def _md(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def facts_of(run: Run, mode: str, load: str) -> dict[str, str]:
    """What a reader needs to compare this run with another."""
    # "ecrsim" and "ecrsim, 2 workers" are one program.
    programs = {label.partition(",")[0]: target for label, target in run.targets.items()}
    versions = [f"{label} {target.version}" for label, target in programs.items() if target.version]
    absent = [f"{label}: {_here(target.reason)}" for label, target in programs.items() if target.reason]
    return {
        "Date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
        "Machine": f"{len(run.cores) or 'unpinned'} cores, {_processor()}, {platform.system()} {platform.release()}",
        "Python": platform.python_version(),
        "Versions": ", ".join(versions) or "none",
        "Mode": mode,
        "Cores": f"JSON API rows: server {_cores(run.one_core)}, load {_cores(run.load_beside_one)}; "
        f"registry rows: server {_cores(run.two_cores)}, load {_cores(run.load_beside_two)}",
        "Manifest load": load,
        "Absent": "; ".join(absent) or "nothing",
    }


def _cores(cores: Sequence[int]) -> str:
    return "core " + ",".join(map(str, cores)) if cores else "unpinned"


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def write_json(path: Path, rows: Sequence[Row], facts: Mapping[str, str]) -> None:
    content = {
        "facts": dict(facts),
        "lines": [
            dict(
                zip(
                    ("what", "unit", "ours", "our value", "peer", "peer value", "ratio", "target", "reached"),
                    line,
                    strict=True,
                )
            )
            for line in lines(rows)
        ],
        "rows": [
            {
                "name": row.name,
                "what": row.what,
                "unit": row.unit,
                "figures": {
                    label: {"value": figure.value, "reason": figure.reason, "detail": dict(figure.detail)}
                    for label, figure in row.figures.items()
                },
            }
            for row in rows
        ],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def write_document(path: Path, rows: Sequence[Row], facts: Mapping[str, str]) -> None:
    """Replace what lies between the markers; the text around them is written by hand."""
    text = path.read_text()
    begin, end = text.find(BEGIN), text.find(END)
    if begin < 0 or end < begin:
        raise BenchError(f"{path} has no lines {BEGIN} and {END}")
    path.write_text(f"{text[: begin + len(BEGIN)]}\n\n{markdown(rows, facts)}\n\n{text[end:]}")
