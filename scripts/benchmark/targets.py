"""The servers that are measured: how each is started, and what it must answer to count as up.

Logs are quiet everywhere, so that no peer loses time to its access log. moto's development server logs each request
and has no switch for it; its lines go to a file.
"""

import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from benchmark import install
from benchmark.figures import BenchError
from benchmark.processes import Server, free_port
from benchmark.wire import api_request, get_request

ECRSIM, ECRSIM_2 = "ecrsim", "ecrsim, 2 workers"
MOTO, MINISTACK, REGISTRY = "moto", "ministack", "docker-registry"
DESCRIBE_REPOSITORIES = api_request("DescribeRepositories", {"maxResults": 100})
REGISTRY_CONFIGURATION = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage:
  cache: {{blobdescriptor: inmemory}}
  filesystem: {{rootdirectory: {data}}}
  delete: {{enabled: true}}
http: {{addr: "127.0.0.1:{port}"}}
"""


@dataclass(frozen=True)
class Target:
    """A server that could be started; `reason` says why it cannot be on this machine."""

    label: str
    version: str = ""
    reason: str = ""
    command: Callable[[int, Path], Sequence[str]] = lambda _port, _data: ()
    environment: Callable[[int], Mapping[str, str]] = lambda _port: {}
    first: bytes = DESCRIBE_REPOSITORIES

    def start(self, directory: Path, cores: Sequence[int]) -> Server:
        """The server, answering. What is in `directory` from an earlier start is its data directory again."""
        server = self.spawn(directory, cores)
        try:
            server.wait_until_answers(self.first)
        except BenchError:
            server.stop()
            raise
        return server

    def spawn(self, directory: Path, cores: Sequence[int]) -> Server:
        if self.reason:
            raise BenchError(self.reason)
        directory.mkdir(parents=True, exist_ok=True)
        port = free_port()
        return Server(self.command(port, directory), self.environment(port), directory, port, cores)


def all_targets(cache: Path, checkout: Path, ecrsim_python: Path | None, ecrsim_options: Sequence[str]) -> list[Target]:
    """Every server, installed where that was needed and possible."""
    return [
        *_ecrsim(cache, checkout, ecrsim_python, ecrsim_options),
        _installed(MINISTACK, lambda: _ministack(cache)),
        _installed(MOTO, lambda: _moto(cache)),
        _installed(REGISTRY, lambda: _docker_registry(cache)),
    ]


def _installed(label: str, make: Callable[[], Target]) -> Target:
    try:
        return make()
    except BenchError as error:
        return Target(label, reason=str(error))


def _ecrsim(cache: Path, checkout: Path, python: Path | None, options: Sequence[str]) -> list[Target]:
    # A given Python may have ecrsim's dependencies without ecrsim itself: it runs the checkout.
    environment = {"PYTHONPATH": str(checkout)} if python else {}
    try:
        python = python or install.ecrsim_environment(cache, checkout)
        install.check_command([str(python), "-m", "ecrsim", "serve", "--help"], checkout if environment else cache)
    except BenchError as error:
        return [Target(label, reason=str(error)) for label in (ECRSIM, ECRSIM_2)]

    def target(label: str, workers: int) -> Target:
        def command(port: int, data: Path) -> list[str]:
            return [
                *(str(python), "-m", "ecrsim", "serve", "--port", str(port), "--data-dir", str(data / "data")),
                *("--workers", str(workers), *options),
            ]

        return Target(label, install.version_of(python, "ecrsim"), "", command, lambda _port: environment)

    return [target(ECRSIM, 1), target(ECRSIM_2, 2)]


def _moto(cache: Path) -> Target:
    python = install.python_environment(cache, MOTO, install.MOTO)
    server = str(python.with_name("moto_server"))
    return Target(
        MOTO,
        install.version_of(python, "moto"),
        command=lambda port, _data: [server, "-H", "127.0.0.1", "-p", str(port)],
    )


def _ministack(cache: Path) -> Target:
    python = install.python_environment(cache, MINISTACK, install.MINISTACK)
    return Target(
        MINISTACK,
        install.version_of(python, "ministack"),
        command=lambda _port, _data: [str(python), "-m", "ministack"],
        environment=lambda port: {"GATEWAY_PORT": str(port), "BIND_HOST": "127.0.0.1", "LOG_LEVEL": "ERROR"},
    )


def _docker_registry(cache: Path) -> Target:
    binary, environment = install.debian_binary(cache, "docker-registry", ["docker-registry"])

    def command(port: int, data: Path) -> list[str]:
        configuration = data / "configuration.yml"
        configuration.write_text(REGISTRY_CONFIGURATION.format(data=data / "data", port=port))
        return [str(binary), "serve", str(configuration)]

    version = _registry_version(binary)
    return Target(REGISTRY, version, "", command, lambda _port: environment, get_request("/v2/", {}))


def _registry_version(binary: Path) -> str:
    with suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run([binary, "--version"], capture_output=True, text=True, timeout=10, check=False)
        return done.stdout.split()[-1].split("+")[0] if done.stdout.strip() else "unknown"
    return "unknown"
