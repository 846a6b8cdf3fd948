"""The rows of scans beside pulls: what clients wait for a manifest while ten images are scanned, and the memory of it.

The images share no layer, so that each is opened and read. ecrsim alone, beside itself with nothing else to do.
"""

import contextlib
import gzip
import http.client
import io
import os
import tarfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row
from benchmark.images import ImageSet, digest_of
from benchmark.load import run_load
from benchmark.processes import MIB, Server, stopping
from benchmark.pullthrough import put_manifest
from benchmark.registry import Blob, Registry
from benchmark.run import Run
from benchmark.runs import middle_of, waits
from benchmark.targets import ECRSIM, ECRSIM_2
from benchmark.wire import DOCKER_MANIFEST, Api, get_request

ROWS = ("scan-pull", "scan-memory")
LABELS = (ECRSIM, ECRSIM_2)
IDLE = "idle"
SCANNED, PULLED = "bench/scanned", "bench/pulled"
#: Images that are scanned at once; bytes of the files of each, and how many files they are.
AT_ONCE, SIZE, FILES = 10, 64 * MIB, 4_000
#: Connections with one request in flight on each, and seconds of one load.
CONNECTIONS, SECONDS = 16, 0.7


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if not set(ROWS) & set(wanted):
        return []
    pulls: dict[str, Figure] = {}
    memory: dict[str, Figure] = {}
    for label in LABELS:
        servers: dict[str, Server] = {}
        with stopping(servers):
            try:
                server = servers[label] = _start(run, label)
                pulls[f"{label}, {IDLE}"], pulls[label], memory[label] = _beside_scans(run, label, server)
            except (BenchError, OSError, http.client.HTTPException) as error:
                missing = Figure(None, f"skipped: {error}")
                memory[label] = pulls[label] = pulls[f"{label}, {IDLE}"] = missing
        run.clear()
    beside = tuple(Comparison(label, f"{label}, {IDLE}", Goal("≤", 2)) for label in LABELS)
    bounded = tuple(Comparison(label, goal=Goal("≤", 150, of="value")) for label in LABELS)
    what = f"{AT_ONCE} images of {SIZE // MIB} MiB are scanned"
    rows = [
        Row(ROWS[0], f"manifest GET while {what}, p99", "ms", pulls, beside),
        Row(ROWS[1], f"memory above idle (PSS) while {what}", "MiB", memory, bounded),
    ]
    return [row for row in rows if row.name in wanted]


def _start(run: Run, label: str) -> Server:
    target = run.targets[label]

    def environment(port: int) -> dict[str, str]:
        return {**target.environment(port), "ECRSIM_SCAN_DELAY": "0"}

    return replace(target, environment=environment).start(run.directory(label), run.two_cores)


def _layer(number: int) -> bytes:
    """A Debian of 300 packages, and files that no compression makes smaller."""
    status = "".join(
        f"Package: p{each}\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.{each}-{number}\n\n"
        for each in range(300)
    )
    files = {"etc/os-release": b'ID=debian\nVERSION_ID="12"\n', "var/lib/dpkg/status": status.encode()}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for index in range(FILES + len(files)):
            name, content = files.popitem() if files else (f"srv/{index}", os.urandom(SIZE // FILES))
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), 1)


def _push(registry: Registry, number: int) -> None:
    layer, config = _layer(number), b'{"architecture":"amd64","os":"linux","number":%d}' % number
    blob = Blob(layer[:32], memoryview(layer)[32:], digest_of(layer))
    registry.push_whole(blob)
    registry.push_small(config)
    put_manifest(registry, f"v{number}", config, [blob])


def _beside_scans(run: Run, label: str, server: Server) -> tuple[Figure, Figure, Figure]:
    """p99 of a pull without and with scans, and the most memory meanwhile."""
    images, api = ImageSet(10), Api(server.port)
    images.create_repository(api, PULLED)
    api.call("CreateRepository", repositoryName=SCANNED)
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    pulled = Registry(server.port, PULLED, token)
    pulled.push_image(images, 0, "bench")
    run.say(f"{label}: {AT_ONCE} images to scan")
    for number in range(AT_ONCE):
        _push(Registry(server.port, SCANNED, token), number)
    os.sync()
    get = [get_request(f"/v2/{PULLED}/manifests/bench", {**pulled.headers, "Accept": DOCKER_MANIFEST})]

    def pull() -> Figure:
        return waits(run_load(server.port, get, CONNECTIONS, SECONDS, run.load_beside_two))

    idle = middle_of(run.plan.trials, pull)
    before = server.memory().pss
    with _watched(server) as most:
        began = time.perf_counter()
        for number in range(AT_ONCE):
            api.call("StartImageScan", repositoryName=SCANNED, imageId={"imageTag": f"v{number}"})
        busy = middle_of(run.plan.trials, pull)
        if not set(_states(api)) & {"PENDING", "IN_PROGRESS"}:
            raise BenchError("the scans were over before the load was: they need larger images")
        while set(_states(api)) & {"PENDING", "IN_PROGRESS"}:
            time.sleep(0.1)
        took = time.perf_counter() - began
    if set(_states(api)) != {"COMPLETE"}:
        raise BenchError(f"the scans ended as {_states(api)}")
    api.close()
    busy = replace(busy, detail={**busy.detail, "scans s": round(took, 2)})
    detail = {"idle MiB": round(before / MIB, 1), "most MiB": round(most[0] / MIB, 1)}
    return idle, busy, Figure((most[0] - before) / MIB, detail=detail)


def _states(api: Api) -> list[str]:
    return [
        api.call("DescribeImageScanFindings", repositoryName=SCANNED, imageId={"imageTag": f"v{number}"})[
            "imageScanStatus"
        ]["status"]
        for number in range(AT_ONCE)
    ]


@contextlib.contextmanager
def _watched(server: Server) -> Iterator[list[int]]:
    """The most memory of the server and its processes during the block, in its one entry."""
    most, is_over = [0], threading.Event()

    def watch() -> None:
        while not is_over.wait(0.1):
            most[0] = max(most[0], server.memory().pss)

    watching = threading.Thread(target=watch, daemon=True)
    watching.start()
    try:
        yield most
    finally:
        is_over.set()
        watching.join()
