"""The rows of a real client: docker pushes and pulls one image, whose layers no compression makes smaller.

The daemon is the benchmark's own, with all that it has below the scratch folder; it compresses each layer anew at each
push and unpacks each at each pull, which is most of the time with either server. A registry is new to it in each push
(it has another port), so that every layer is sent; each layer is removed from it before a pull.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.processes import Server, stopping
from benchmark.registry import Registry, open_registry, timed_megabytes
from benchmark.run import Run
from benchmark.targets import ECRSIM, REGISTRY
from benchmark.wire import HOST

ROWS = ("docker-push", "docker-pull")
LABELS = (ECRSIM, REGISTRY)
LAYERS = 8
REPOSITORY = "bench/docker"
SOURCE = "bench-source:v1"


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if not set(ROWS) & set(wanted):
        return []
    servers: dict[str, Server] = {}
    reasons = run.reasons(LABELS)
    run.say(f"docker: an image of {LAYERS} layers, {2 * run.plan.blob_bytes >> 20} MiB")
    with contextlib.ExitStack() as held:
        held.enter_context(stopping(servers))
        try:
            docker = held.enter_context(_daemon(run))
            client = _Client(run, docker, servers)
        except (BenchError, OSError, subprocess.SubprocessError) as error:
            reasons |= dict.fromkeys(LABELS, str(error))
            client = None
        rows = [_row(run, name, client, reasons) for name in ROWS if name in wanted]
    run.clear()
    return rows


def _row(run: Run, name: str, client: "_Client | None", reasons: Mapping[str, str]) -> Row:
    does = name.removeprefix("docker-")
    what = f"docker {does}, {LAYERS} layers of {2 * run.plan.blob_bytes // LAYERS >> 20} MiB"
    run.say(what)

    def sample(label: str) -> Figure:
        if client is None:
            raise BenchError("no docker")
        return client.push(label) if does == "push" else client.pull(label)

    figures = best_of(run.plan.trials, LABELS, sample, "more", reasons)
    return Row(name, what, "MB/s", figures, (Comparison(ECRSIM, REGISTRY, Goal("≥", 1)),))


class _Client:
    """The docker command, with an image that its daemon has, and the servers that it pushed that to last."""

    def __init__(self, run: Run, docker: Mapping[str, str], servers: dict[str, Server]) -> None:
        self._run, self._environment, self._servers = run, docker, servers
        archive = run.scratch / "image.tar"
        self._size = 2 * run.plan.blob_bytes // LAYERS * LAYERS
        self._layers = _write_image(archive, self._size // LAYERS)
        self._call("load", "--input", str(archive))
        archive.unlink()

    def push(self, label: str) -> Figure:
        """To a server that is new."""
        if label in self._servers:
            self._servers[label].stop()
        shutil.rmtree(self._run.directory(label), ignore_errors=True)
        self._servers[label] = server = self._run.targets[label].start(self._run.directory(label), self._run.two_cores)
        self._log_in(open_registry(server.port, REPOSITORY, is_ecr=label != REGISTRY))
        image = self._image(label)
        self._call("tag", SOURCE, image)
        os.sync()
        try:
            return Figure(timed_megabytes(self._size, lambda: self._call("push", "--quiet", image)))
        finally:
            self._call("rmi", image)

    def pull(self, label: str) -> Figure:
        """From the server that has it, whereafter it is the image that is pushed."""
        if label not in self._servers:
            self.push(label)
        image = self._image(label)
        self._call("rmi", SOURCE)
        os.sync()
        figure = Figure(timed_megabytes(self._size, lambda: self._call("pull", "--quiet", image)))
        found = json.loads(self._call("inspect", "--format", "{{json .RootFS.Layers}}", image))
        if found != self._layers:
            raise BenchError("the image that was pulled is not the one that was pushed")
        self._call("tag", image, SOURCE)
        self._call("rmi", image)
        return figure

    def _image(self, label: str) -> str:
        return f"{HOST}:{self._servers[label].port}/{REPOSITORY}:v1"

    def _log_in(self, registry: Registry) -> None:
        file = Path(self._environment["DOCKER_CONFIG"]) / "config.json"
        auths = json.loads(file.read_text())["auths"] if file.exists() else {}
        auths[f"{HOST}:{registry.port}"] = {"auth": registry.headers["Authorization"].removeprefix("Basic ")}
        file.write_text(json.dumps({"auths": auths}))

    def _call(self, *arguments: str) -> str:
        return _docker(self._environment, *arguments)


def _docker(environment: Mapping[str, str], *arguments: str) -> str:
    command = ["docker", *arguments]
    done = subprocess.run(
        command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise BenchError(f"docker {arguments[0]}: {(done.stderr or done.stdout).strip()[-200:]}")
    return done.stdout


@contextlib.contextmanager
def _daemon(run: Run) -> Iterator[Mapping[str, str]]:
    """A daemon that answers, as the variables by which the docker command finds it."""
    program = shutil.which("dockerd")
    if not program or not shutil.which("docker"):
        raise BenchError("docker and dockerd are not on the PATH")
    if os.geteuid():
        raise BenchError("only root can start dockerd")
    folder = run.scratch / "docker"
    (folder / "config").mkdir(parents=True)
    host = f"unix://{folder}/docker.sock"
    environment = {"DOCKER_HOST": host, "DOCKER_CONFIG": str(folder / "config")}
    command = [
        *(program, "--data-root", str(folder / "data"), "--exec-root", str(folder / "exec"), "--host", host),
        *("--pidfile", str(folder / "pid"), "--storage-driver=overlay2"),
        *("--iptables=false", "--ip6tables=false", "--bridge=none"),
    ]
    daemon = Server(command, {}, folder, 0, run.load_beside_two)
    try:
        _wait_until_it_answers(daemon, environment)
        yield environment
    finally:
        daemon.stop()
        # A network namespace may stay mounted, and what is mounted cannot be removed.
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{folder}/")]):
            subprocess.run(["umount", "--lazy", mount], capture_output=True, check=False)


def _wait_until_it_answers(daemon: Server, environment: Mapping[str, str]) -> None:
    while True:
        with contextlib.suppress(BenchError):
            _docker(environment, "version")
            break
        if daemon.process.poll() is not None or time.perf_counter() - daemon.began > 60:
            raise BenchError(f"dockerd does not start: {daemon.last_words()}")
        time.sleep(0.2)


def _write_image(archive: Path, size: int) -> list[str]:
    """An image as `docker save` writes one, of files of random bytes, a layer each; the digests of its layers."""
    layers = []
    with tarfile.open(archive, "w") as tar:
        for number in range(LAYERS):
            layer = io.BytesIO()
            with tarfile.open(fileobj=layer, mode="w") as inner:
                _add(inner, f"random-{number}", os.urandom(size))
            layers.append("sha256:" + hashlib.sha256(layer.getbuffer()).hexdigest())
            _add(tar, f"{number}/layer.tar", layer.getvalue())
        config = {"architecture": "amd64", "os": "linux", "rootfs": {"type": "layers", "diff_ids": layers}}
        _add(tar, "config.json", json.dumps(config).encode())
        paths = [f"{number}/layer.tar" for number in range(LAYERS)]
        _add(
            tar,
            "manifest.json",
            json.dumps([{"Config": "config.json", "RepoTags": [SOURCE], "Layers": paths}]).encode(),
        )
    return layers


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
