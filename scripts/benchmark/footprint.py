"""The rows about the process itself: time to the first answer, memory when idle, memory while large layers move.

Memory is PSS, summed over the server's whole process tree, for a server with workers shares pages among them.
"""

import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmark.api import CLIENTS
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import MIB, Server, stopping
from benchmark.registry import Blob, BlobSource, Registry, open_registry
from benchmark.run import Run
from benchmark.targets import ECRSIM, ECRSIM_2, MINISTACK, MOTO, REGISTRY
from benchmark.wire import Api, api_request

ROWS = ("start-new", "start-again", "idle-memory", "memory-at-work")
LAYERS = 10
EVERY = 0.05
Work = Callable[[], None]


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    makers: dict[str, Callable[[], Row]] = {
        "start-new": lambda: _start_row(run, again=False),
        "start-again": lambda: _start_row(run, again=True),
        "idle-memory": lambda: _idle_row(run),
        "memory-at-work": lambda: _work_row(run),
    }
    rows = []
    for name, make in makers.items():
        if name in wanted:
            rows.append(make())
            run.clear()
    return rows


def _start_row(run: Run, again: bool) -> Row:
    """From starting the process to its first 200: DescribeRepositories, or docker-registry's GET /v2/."""
    labels = (ECRSIM, MINISTACK, MOTO, REGISTRY)
    counts = dict.fromkeys(labels, 0)

    def sample(label: str) -> Figure:
        counts[label] += 1
        directory = run.directory(label) if again else run.directory(label) / str(counts[label])
        target = run.targets[label]
        if again and counts[label] == 1:
            target.start(directory, run.cores).stop()
        server = target.spawn(directory, run.cores)
        try:
            return Figure(server.wait_until_answers(target.first))
        finally:
            server.stop()

    what = "first answer after start, " + ("data directory from before" if again else "new data directory")
    run.say(what)
    figures = best_of(run.plan.starts, labels, sample, "less", run.reasons(labels))
    compared = (
        Comparison(ECRSIM, MINISTACK, Goal("≤", 1.1)),
        Comparison(ECRSIM, MOTO),
        Comparison(ECRSIM, REGISTRY),
    )
    return Row("start-again" if again else "start-new", what, "s", figures, compared)


def _idle_row(run: Run) -> Row:
    """After a few hundred calls of the kinds that the other rows make: what loads on first use is loaded by then."""
    labels = (ECRSIM, MINISTACK, MOTO, REGISTRY)
    servers: dict[str, Server] = {}

    def sample(label: str) -> Figure:
        server = servers[label]
        if label == REGISTRY:
            open_registry(server.port, "bench/idle", is_ecr=False).push_image(ImageSet(2), 3, "bench")
        else:
            _exercise(server.port)
        time.sleep(1.0)
        memory = server.memory()
        return Figure(memory.pss / MIB, detail={"RSS MiB": round(memory.rss / MIB, 1), "processes": len(server.pids())})

    run.say("idle memory")
    with stopping(servers):
        reasons = run.start(labels, run.one_core, servers)
        figures = best_of(1, labels, sample, "less", reasons)
    compared = (
        Comparison(ECRSIM, MOTO, Goal("<", 100, of="value")),
        Comparison(ECRSIM, MINISTACK),
        Comparison(ECRSIM, REGISTRY),
    )
    return Row("idle-memory", "idle memory (PSS) of one worker, used before", "MiB", figures, compared)


def _exercise(port: int) -> None:
    images = ImageSet(2)
    api = Api(port)
    images.create_repository(api, "bench/idle")
    api.close()
    name = {"repositoryName": "bench/idle"}
    calls = [
        *(api_request("PutImage", images.put_image("bench/idle", number)) for number in range(16)),
        api_request("DescribeRepositories", {"maxResults": 100}),
        api_request("DescribeImages", {**name, "maxResults": 100}),
        api_request("ListImages", name),
        api_request("BatchGetImage", {**name, "imageIds": [{"imageTag": "v1"}]}),
        api_request("GetAuthorizationToken", {}),
    ]
    run_load(port, calls[:16], 1, None, ())
    run_load(port, calls[16:] * 40, CLIENTS, None, ())


def _work_row(run: Run) -> Row:
    """The rise of PSS over idle at its highest, while ten layers are pushed at once and then pulled at once."""
    labels = (ECRSIM, ECRSIM_2, REGISTRY)
    source = BlobSource(run.plan.blob_bytes)
    what = f"memory above idle (PSS) while {LAYERS} layers of {run.plan.blob} move at once"
    run.say(what)

    def sample(label: str) -> Figure:
        servers: dict[str, Server] = {}
        with stopping(servers):
            servers[label] = run.targets[label].start(run.directory(label), run.two_cores)
            server = servers[label]
            registry = open_registry(server.port, "bench/work", is_ecr=label != REGISTRY)
            registry.push_small(b"the first push loads what pushing needs")
            time.sleep(1.0)
            idle = server.memory()
            blobs = [source.blob() for _ in range(LAYERS)]
            pushing = _peak(server, [partial(registry.push_chunked, blob) for blob in blobs])
            pulling = _peak(server, [partial(_pull, registry, blob) for blob in blobs])
            time.sleep(1.0)
            after = server.memory()
        run.clear()
        detail = {
            "idle MiB": round(idle.pss / MIB, 1),
            "pushing MiB": round(pushing / MIB, 1),
            "pulling MiB": round(pulling / MIB, 1),
            "after MiB": round(after.pss / MIB, 1),
        }
        return Figure((max(pushing, pulling) - idle.pss) / MIB, detail=detail)

    figures = best_of(1, labels, sample, "less", run.reasons(labels))
    goal = Goal("≤", 40, of="value")
    compared = (Comparison(ECRSIM, REGISTRY, goal), Comparison(ECRSIM_2, REGISTRY, goal))
    return Row("memory-at-work", what, "MiB", figures, compared)


def _pull(registry: Registry, blob: Blob) -> None:
    received = registry.pull(blob.digest)
    if received != blob.size:
        raise BenchError(f"pulled {received} of {blob.size} bytes")


def _peak(server: Server, work: Sequence[Work]) -> int:
    """The highest PSS seen, every 50 ms, while all of `work` runs in threads of its own."""
    problems: list[str] = []

    def guarded(part: Work) -> None:
        try:
            part()
        except (BenchError, OSError) as error:
            problems.append(str(error) or repr(error))

    threads = [threading.Thread(target=guarded, args=(part,), daemon=True) for part in work]
    for thread in threads:
        thread.start()
    peak = 0
    while any(thread.is_alive() for thread in threads):
        peak = max(peak, server.memory().pss)
        time.sleep(EVERY)
    if problems:
        raise BenchError(f"{len(problems)} of {len(work)} transfers failed: {problems[0]}")
    return peak
