"""Time, chance and the environment each have one door: `core/clock.py`, `core/ids.py` and `config.py`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.architecture.source import Source, sources

CLOCK = "ecrsim.core.clock"
IDS = "ecrsim.core.ids"
CONFIG = "ecrsim.config"

#: What is banned, itself and everything below it, and the one module that may have it.
DOORS = {
    "datetime.date.today": CLOCK,
    "datetime.datetime.now": CLOCK,
    "datetime.datetime.today": CLOCK,
    "datetime.datetime.utcnow": CLOCK,
    "email.utils.localtime": CLOCK,
    "sqlalchemy.func.current_date": CLOCK,
    "sqlalchemy.func.current_time": CLOCK,
    "sqlalchemy.func.current_timestamp": CLOCK,
    "sqlalchemy.func.date": CLOCK,
    "sqlalchemy.func.datetime": CLOCK,
    "sqlalchemy.func.julianday": CLOCK,
    "sqlalchemy.func.localtime": CLOCK,
    "sqlalchemy.func.localtimestamp": CLOCK,
    "sqlalchemy.func.now": CLOCK,
    "sqlalchemy.func.strftime": CLOCK,
    "sqlalchemy.func.sysdate": CLOCK,
    "sqlalchemy.func.unixepoch": CLOCK,
    "time.clock_gettime": CLOCK,
    "time.clock_gettime_ns": CLOCK,
    "time.time": CLOCK,
    "time.time_ns": CLOCK,
    "os.getrandom": IDS,
    "os.urandom": IDS,
    "random": IDS,
    "secrets": IDS,
    "sqlalchemy.func.gen_random_uuid": IDS,
    "sqlalchemy.func.random": IDS,
    "sqlalchemy.func.randomblob": IDS,
    "ssl.RAND_bytes": IDS,
    "uuid.getnode": IDS,
    "uuid.uuid1": IDS,
    "uuid.uuid4": IDS,
    "uuid.uuid6": IDS,
    "uuid.uuid7": IDS,
    "uuid.uuid8": IDS,
    "os.environ": CONFIG,
    "os.environb": CONFIG,
    "os.getenv": CONFIG,
    "os.getenvb": CONFIG,
    "os.path.expandvars": CONFIG,
}
#: What reads the clock where it is not told a time: with as many arguments as this it is told one.
TOLD = {
    "email.utils.formatdate": 1,
    "time.asctime": 1,
    "time.ctime": 1,
    "time.gmtime": 1,
    "time.localtime": 1,
    "time.strftime": 2,
    "werkzeug.http.http_date": 1,
}
#: The same in the text of a statement.
SQL = re.compile(
    r"\bCURRENT_(?:TIMESTAMP|DATE|TIME)\b|'now'|\b(?:random|randomblob|gen_random_uuid|now|unixepoch)\(\)|\brandomblob\(",
    re.IGNORECASE,
)
#: Texts with these words are statements, not sentences.
STATEMENT = re.compile(r"\b(?:SELECT|INSERT|UPDATE|DELETE|CREATE|ALTER|DEFAULT|WHERE|VALUES|SET)\b")


def names(tree: ast.Module) -> dict[str, str]:
    """What the imported names of a file stand for: `from time import time as now` gives now: time.time."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.split(".")[0]
                found[alias.asname or first] = alias.name if alias.asname else first
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


def dotted(node: ast.AST, known: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return known.get(node.id)
    if isinstance(node, ast.Attribute):
        owner = dotted(node.value, known)
        return f"{owner}.{node.attr}" if owner else None
    return None


def wrong_doors(source: Source) -> Iterator[str]:
    known = names(source.tree)
    for node in source.nodes:
        used = dotted(node, known) if isinstance(node, ast.Name | ast.Attribute) else None
        if used is None:
            continue
        for banned, door in DOORS.items():
            if source.name != door and (used == banned or used.startswith(f"{banned}.")):
                yield source.at(node.lineno, f"uses {used}, which belongs to {door}")


def untold(source: Source) -> Iterator[str]:
    """Calls that would tell the present, for want of a time that they are told."""
    known = names(source.tree)
    for node in source.nodes:
        if isinstance(node, ast.Call) and source.name != CLOCK:
            used = dotted(node.func, known)
            given = len(node.args) + len(node.keywords)
            if used in TOLD and given < TOLD[used]:
                yield source.at(node.lineno, f"calls {used} without a time")


def statements(source: Source) -> Iterator[str]:
    """Texts of SQL, that ask the database for the time or for chance."""
    for node in source.nodes:
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and STATEMENT.search(node.value):
            for found in SQL.findall(node.value):
                yield source.at(node.lineno, f"has {found} in a statement")


RULES = (wrong_doors, untold, statements)


def complaints(source: Source) -> list[str]:
    return [complaint for rule in RULES for complaint in rule(source)]


def test_the_package_reads_time_chance_and_environment_in_one_place_each():
    assert [complaint for source in sources("ecrsim") for complaint in complaints(source)] == []


@pytest.mark.parametrize(
    "text",
    [
        "import time\nnow = time.time()",
        "from time import time\nnow = time()",
        "import datetime\nnow = datetime.datetime.now(datetime.UTC)",
        "from datetime import datetime as moment\nclock = moment.now",
        "from uuid import uuid4\nkey = uuid4()",
        "import random\nrandom.shuffle([])",
        "import secrets\nkey = secrets.token_hex()",
        "import os\nhome = os.environ['HOME']",
        "from os import environ\nhome = environ.get('HOME')",
        "from sqlalchemy import func\nnow = func.now()",
        "from sqlalchemy import func\nnow = func.strftime('%s', 'now')",
        "from sqlalchemy import func\nnow = func.unixepoch()",
        "from sqlalchemy import func\nkey = func.randomblob(16)",
        "import time\nnow = time.localtime()",
        "import time\nnow = time.gmtime()",
        "from time import strftime\nnow = strftime('%Y')",
        "import time\nnow = time.ctime()",
        "import time\nnow = time.asctime()",
        "import time\nnow = time.clock_gettime(time.CLOCK_REALTIME)",
        "from email.utils import formatdate\nnow = formatdate()",
        "import email.utils\nnow = email.utils.localtime()",
        "from werkzeug.http import http_date\nnow = http_date()",
        "import os\nkey = os.getrandom(16)",
        "import ssl\nkey = ssl.RAND_bytes(16)",
        "import uuid\nkey = uuid.uuid7()",
        "import uuid\nkey = uuid.getnode()",
        "from os import environb\nhome = environb[b'HOME']",
        "import os\nhome = os.path.expandvars('$HOME')",
        "statement = 'INSERT INTO t VALUES (CURRENT_TIMESTAMP)'",
        "statement = 'UPDATE t SET at = current_date'",
        "statement = \"SELECT strftime('%s', 'now')\"",
        "statement = f\"UPDATE {table} SET at = datetime('now')\"",
        "statement = 'SELECT random()'",
        "statement = 'SELECT hex(randomblob(16))'",
    ],
)
def test_a_wrong_door_is_seen(text: str):
    assert complaints(Source("ecrsim.ecr.images.lookup", text))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (CLOCK, "import time\nnow = time.time()"),
        (IDS, "import uuid\nkey = uuid.uuid4()"),
        ("ecrsim.server", "import time\nstarted = time.monotonic(), time.perf_counter()"),
        ("ecrsim.core.db", "from datetime import datetime\nwhen = datetime.fromtimestamp(0)"),
        ("ecrsim.core.db", "now = call.now\ntime = row.time"),
        ("ecrsim.core.db", "import time\nwhen = time.gmtime(0), time.strftime('%Y', time.gmtime(at))"),
        ("ecrsim.core.db", "from email.utils import formatdate\nwhen = formatdate(at, usegmt=True)"),
        ("ecrsim.core.db", "import uuid\nkey = uuid.uuid5(uuid.NAMESPACE_URL, name)"),
        ("ecrsim.core.db", "import threading\ntimer = threading.Timer(1, print)"),
        ("ecrsim.admin.page", "text = \"from 'now' on, at random()\""),
    ],
)
def test_the_right_door_passes(name: str, text: str):
    assert complaints(Source(name, text)) == []


def test_headers_are_asked_for_by_their_names_in_lower_case():
    """`Request.header` knows no others: `header("CONTENT_RANGE")` would find nothing, ever."""
    asked = re.compile(r"\bheader\(\"([^\"]*)\"\)")
    found = [name for source in sources("ecrsim") for name in asked.findall("\n".join(source.lines))]
    assert found
    assert [name for name in found if not re.fullmatch(r"[a-z0-9-]+", name)] == []
