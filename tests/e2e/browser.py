"""A browser with a keyboard: Chromium by WebDriver (W3C), for pages that are used and not only looked at."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.e2e.clients import clean_environ, require

TAB, ENTER, SPACE = "\ue004", "\ue007", " "
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Browser:
    """One window. Nothing here points or clicks: what cannot be reached by keys is not reached."""

    def __init__(self, session: str) -> None:
        self._session = session

    def _send(self, method: str, path: str, **members: Any) -> Any:
        body = json.dumps(members) if method == "POST" else None
        answer = requests.request(method, f"{self._session}/{path}", data=body, timeout=60)
        value = answer.json()["value"]
        assert answer.status_code == 200, value
        return value

    def open(self, url: str) -> None:
        self._send("POST", "url", url=url)

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": key} for text in keys for key in text for kind in ("keyDown", "keyUp")]
        self._send("POST", "actions", actions=[{"type": "key", "id": "keyboard", "actions": actions}])

    def follow(self) -> None:
        """Press Enter, and wait for the page to which that leads."""
        before, pause = self.path, threading.Event()
        self.press(ENTER)
        for _ in range(200):
            if self.path != before and self.look("document.readyState") == "complete":
                return
            pause.wait(0.05)
        raise AssertionError(f"Enter leads nowhere from {before}")

    @property
    def path(self) -> str:
        """Of the page, with its query."""
        url: str = self._send("GET", "url")
        return "/" + url.split("/", 3)[3]

    @property
    def title(self) -> str:
        title: str = self._send("GET", "title")
        return title

    def focus(self) -> tuple[str, str]:
        """Role and name of what has the focus, as a screen reader is told."""
        element = self._send("GET", "element/active")[_ELEMENT]
        role, label = (self._send("GET", f"element/{element}/computed{what}") for what in ("role", "label"))
        return role, label

    def tab_to(self, role: str, name: str) -> None:
        """Press Tab until it has the focus; AssertionError if it never comes."""
        passed = []
        for _ in range(60):
            self.press(TAB)
            passed.append(self.focus())
            if passed[-1] == (role, name):
                return
        raise AssertionError(f"Tab does not come to {role} {name!r}, but to {passed}")

    def all_stops(self) -> list[tuple[str, str]]:
        """What Tab comes to from the beginning of the page, each once."""
        stops: list[tuple[str, str]] = []
        places: set[str] = set()
        for _ in range(100):
            self.press(TAB)
            element = self._send("GET", "element/active")[_ELEMENT]
            if element in places or self.look("document.activeElement === document.body"):
                break
            places.add(element)
            stops.append(self.focus())
        return stops

    def look(self, script: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        return self._send("POST", "execute/sync", script=f"return {script}", args=[])


@contextmanager
def started(folder: Path, flags: list[str], **switches: Any) -> Iterator[Browser]:
    """`flags`: of Chromium; the test is skipped where it or its driver is missing."""
    program, driver = require("chromium"), require("chromedriver")
    environ = clean_environ(folder)
    running = subprocess.Popen([driver, "--port=0"], env=environ, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        port = next(line.rpartition(" ")[2].strip(".\n") for line in running.stdout if "started successfully" in line)
        options = {"binary": program, "args": [*flags, f"--user-data-dir={folder}/profile"], **switches}
        wanted = {"capabilities": {"alwaysMatch": {"goog:chromeOptions": options}}}
        begun = requests.post(f"http://127.0.0.1:{port}/session", json=wanted, timeout=60).json()["value"]
        assert "sessionId" in begun, begun
        session = f"http://127.0.0.1:{port}/session/{begun['sessionId']}"
        try:
            yield Browser(session)
        finally:
            requests.delete(session, timeout=60)
    finally:
        running.terminate()
        running.wait(20)
        if running.stdout is not None:
            running.stdout.close()
