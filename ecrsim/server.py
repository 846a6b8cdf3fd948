"""`Ecrsim`: a whole ecrsim to hold in the hand, for tests and tools in Python."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import count
from types import TracebackType
from typing import Any, Self

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from ecrsim.app import create_app
from ecrsim.config import Config, ConfigError, is_account, load
from ecrsim.core.clock import Setting
from ecrsim.core.clock_advance import advance, set_clock
from ecrsim.core.clock_setting import instant
from ecrsim.core.household import Household, reset
from ecrsim.core.jobs import Ran, run_due
from ecrsim.core.runtime import Runtime
from ecrsim.delivery.selection import Selection, select_events
from ecrsim.ecr.scanning.advisories import Advisories, open_advisories
from ecrsim.exports import exports
from ecrsim.testing import BuiltImage, build_image, client_over_socket, client_without_socket, push_image


class _Handler(WSGIRequestHandler):
    """werkzeug's handler, keeping connections open and silent about requests."""

    protocol_version = "HTTP/1.1"

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        return None


class Ecrsim:
    """One ecrsim in this process.

    >>> with Ecrsim() as sim:
    ...     sim.client("ecr").create_repository(repositoryName="app")

    By default on a free port of 127.0.0.1 with everything in a temporary directory; `socket=False` does without a port:
    its clients call the application directly. Keyword arguments are the settings of `ecrsim.config.Config`, checked as
    those of a command line are: ConfigError, a ValueError.
    """

    def __init__(self, *, socket: bool = True, config: Config | None = None, **settings: Any) -> None:
        if config is None:
            if settings.get("ephemeral") and "data_dir" in settings:
                raise ConfigError("what is ephemeral has no data_dir: leave one of the two out")
            given: dict[str, Any] = {
                "ephemeral": "data_dir" not in settings,
                "port": 0 if socket else 5100,
                "jobs": "settle",
            }
            config = load(given | settings, environ={})
        self.runtime = Runtime(config)
        self.household = Household(self.runtime)
        self._socket = socket
        self._server: ThreadedWSGIServer | None = None
        self._thread: threading.Thread | None = None
        self._is_running = False
        self._pushes = count(1)

    def start(self) -> Self:
        if self._is_running:
            raise RuntimeError("ecrsim runs already")
        self.runtime.stopping.clear()
        self.runtime.open()
        try:
            self.app = create_app(self.runtime)
            self.household.start()
        except ValueError:
            self.runtime.close()
            raise
        if self._socket:
            self._server = ThreadedWSGIServer(
                self.runtime.config.host, self.runtime.config.port, self.app, handler=_Handler
            )
            self._server.daemon_threads = True
            self.runtime.port = self._server.server_port
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
            self._thread.start()
        self._is_running = True
        return self

    def stop(self) -> None:
        self._is_running = False
        if self._server is not None and self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None
        self.household.stop()
        self.runtime.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _check_running(self) -> None:
        if not self._is_running:
            raise RuntimeError("ecrsim is not running: use it in `with Ecrsim() as sim:`, or call start() first")

    @property
    def endpoint_url(self) -> str:
        """For boto3's `endpoint_url` and AWS_ENDPOINT_URL_ECR. RuntimeError when ecrsim is not running."""
        self._check_running()
        return f"http://127.0.0.1:{self.runtime.port}"

    @property
    def registry(self) -> str:
        """host:port for docker. RuntimeError when ecrsim is not running."""
        self._check_running()
        return f"localhost:{self.runtime.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The variables that lead AWS's command line and SDKs here. RuntimeError when ecrsim is not running."""
        return exports(self.endpoint_url, self.runtime.config.account, self.runtime.config.region)

    def client(self, service: str = "ecr", *, region: str | None = None, account: str | None = None) -> Any:
        """A boto3 client of that account and region (by default those of the settings).

        ValueError for an account that is not 12 digits, ImportError without boto3, RuntimeError when ecrsim is not
        running.
        """
        self._check_running()
        if account is not None and not is_account(account):
            raise ValueError(f"an account is a text of 12 digits, not {account!r}")
        config = self.runtime.config
        names = {"region": region or config.region, "account": account or config.account}
        if self._socket:
            return client_over_socket(service, self.endpoint_url, **names)
        return client_without_socket(service, self.app, self.endpoint_url, **names)

    def push(
        self,
        repository: str,
        *tags: str,
        image: BuiltImage | None = None,
        region: str | None = None,
        account: str | None = None,
    ) -> BuiltImage:
        """Push an image, and make its repository when there is none: `push("app", "v1").digest`.

        Without `image` it is a small one that was never pushed before; without tags it has none. Errors are
        botocore's ClientError.
        """
        client = self.client(region=region, account=account)
        if image is None:
            image = build_image(f"layer {next(self._pushes)} of {repository}".encode())
        with suppress(client.exceptions.RepositoryAlreadyExistsException):
            client.create_repository(repositoryName=repository)
        push_image(client, repository, image, *tags)
        return image

    def advance(self, **duration: float) -> list[Ran]:
        """Turn the clock forward: `advance(days=1)`, `advance(hours=12, seconds=1)`.

        Everything that is due on the way happens, in order, each at its own instant; what ran is returned.
        """
        return advance(self.runtime, timedelta(**duration) // timedelta(milliseconds=1))

    def freeze(self, at: str | None = None) -> None:
        """Stop the clock, now or at an ISO 8601 time: it then moves by `advance` alone.

        What is due at that time runs, unless who runs jobs was set to be somebody else.
        """
        moment = self.runtime.clock.now() if at is None else instant(at)
        set_clock(self.runtime, Setting(True, moment))
        if self.runtime.config.jobs == "settle":
            run_due(self.runtime)

    @property
    def now(self) -> datetime:
        """The time that the clock shows, in UTC."""
        return datetime.fromtimestamp(self.runtime.clock.now() / 1000, UTC)

    def events(
        self,
        type: str | None = None,
        repository: str | None = None,
        pattern: dict[str, Any] | None = None,
        after: int = 0,
    ) -> list[dict[str, Any]]:
        """The events so far, oldest first, as EventBridge would deliver them: `events(type="ECR Image Action")`.

        `type` is a detail-type, `pattern` an event pattern (PatternError, a ValueError, when it is none); `after`: only
        those after that number of the outbox.
        """
        found, _ = select_events(self.runtime.database, Selection(type, repository, pattern=pattern), after)
        return [entry.envelope for entry in found]

    @property
    def advisories(self) -> Advisories:
        """What scans know of vulnerabilities: `sim.advisories.add({"id": "CVE-…", …})`, records in the OSV schema."""
        return open_advisories(self.runtime)

    def reset(self) -> None:
        """Forget every repository and setting, and turn the clock back to now. Tokens stay good."""
        reset(self.runtime)
