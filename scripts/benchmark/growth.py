"""How the cost of a call grows with the images of a repository: one client, milliseconds from request to answer.

The pages are those that a user meets: the *cold* first page, which is the first call to the repository after the
server was restarted (another repository was read before it, so that only the data is cold, not the code); the first
page again; and the *deep* page, the last full one, reached by following every token. ecrsim alone: the peers answer
with all images at once, and need minutes to take as many.
"""

import itertools
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from benchmark.api import fill_images
from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet
from benchmark.load import run_load
from benchmark.processes import Server, stopping
from benchmark.run import Run
from benchmark.targets import ECRSIM
from benchmark.wire import DOCKER_MANIFEST, Api, api_request, get_request

ROWS = ("growth",)
REPOSITORY, OTHER = "bench/large", "bench/other"
PAGE = {"repositoryName": REPOSITORY, "maxResults": 100}
BATCH = 10_000
PAGES_GOAL = Goal("<", 5, of="value")
KINDS = {
    "cold": ("DescribeImages, cold first page of 100 from", PAGES_GOAL),
    "first": ("DescribeImages, first page of 100 from", PAGES_GOAL),
    "deep": ("DescribeImages, deep page of 100 from", PAGES_GOAL),
    "tag": ("BatchGetImage by tag from", None),
    "manifest": ("manifest GET by tag from", None),
    "put": ("PutImage into", None),
}


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    if "growth" not in wanted:
        return []
    reason = run.targets[ECRSIM].reason
    servers: dict[str, Server] = {}
    figures: dict[tuple[str, int], Figure] = {}
    with stopping(servers):
        try:
            if not reason:
                servers[ECRSIM] = _start(run)
        except BenchError as error:
            reason = str(error)
        if not reason:
            try:
                _grow(run, servers, figures)
            except (BenchError, OSError) as error:
                reason = str(error)
    run.clear()
    return _rows(run, figures, reason)


def _start(run: Run) -> Server:
    """With room for more images than ECR's quota lets a repository have."""
    target = run.targets[ECRSIM]
    room = {"ECRSIM_QUOTA_IMAGES": str(2 * max(run.plan.sizes))}
    roomy = replace(target, environment=lambda port: {**target.environment(port), **room})
    return roomy.start(run.directory(ECRSIM), run.one_core)


def _rows(run: Run, figures: dict[tuple[str, int], Figure], reason: str) -> list[Row]:
    """A row for each kind of call and size, put beside the same call at the smallest size."""
    rows = []
    smallest = run.plan.sizes[0]
    itself = f"itself at {smallest:,}"
    missing = Figure(None, f"skipped: {reason}")
    for kind, (what, goal) in KINDS.items():
        for size in run.plan.sizes:
            taken = {ECRSIM: figures.get((kind, size), missing), itself: figures.get((kind, smallest), missing)}
            peer = itself if size != smallest else ""
            rows.append(Row(f"growth-{kind}", f"{what} {size:,}", "ms", taken, (Comparison(ECRSIM, peer, goal),)))
    return rows


def _grow(run: Run, servers: dict[str, Server], figures: dict[tuple[str, int], Figure]) -> None:
    images = ImageSet(32)
    api = Api(servers[ECRSIM].port)
    images.create_repository(api, OTHER)
    images.create_repository(api, REPOSITORY)
    api.close()
    fill_images(run, images, servers[ECRSIM].port, OTHER, range(200))
    there = 0
    for size in run.plan.sizes:
        run.say(f"growth: {size:,} images")
        for begin in range(there, size, BATCH):
            fill_images(run, images, servers[ECRSIM].port, REPOSITORY, range(begin, min(size, begin + BATCH)))
        there = size
        figures["cold", size] = _best(run, partial(_cold, run, servers))
        server = servers[ECRSIM]
        deep, walk = _walk(server.port, size)
        requests = {
            "first": [api_request("DescribeImages", PAGE)],
            "deep": [api_request("DescribeImages", {**PAGE, "nextToken": deep})],
            "tag": [_by_tag(number) for number in range(0, size, max(1, size // 500))],
            "manifest": _manifests(server.port, range(0, size, max(1, size // 500))),
        }
        count = run.plan.requests_at_size
        for kind, sent in requests.items():
            cycle = list(itertools.islice(itertools.cycle(sent), count))
            figures[kind, size] = _best(run, partial(_one_client, run, server, cycle))
        deepest = figures["deep", size]
        figures["deep", size] = replace(deepest, detail={**deepest.detail, **walk})
        puts = [api_request("PutImage", images.put_image(REPOSITORY, there + number)) for number in range(count)]
        figures["put", size] = _one_client(run, server, puts)
        there += count


def _best(run: Run, measure_once: Callable[[], Figure]) -> Figure:
    return best_of(run.plan.trials, [ECRSIM], lambda _label: measure_once(), "less", {})[ECRSIM]


def _cold(run: Run, servers: dict[str, Server]) -> Figure:
    """Restart the server and time the first call to the repository."""
    servers[ECRSIM].stop()
    servers[ECRSIM] = _start(run)
    api = Api(servers[ECRSIM].port)
    began = time.perf_counter()
    api.call("DescribeImages", repositoryName=OTHER, maxResults=100)
    process_first = time.perf_counter() - began
    for _ in range(3):
        api.call("DescribeImages", repositoryName=OTHER, maxResults=100)
    began = time.perf_counter()
    page = api.call("DescribeImages", **PAGE)
    elapsed = time.perf_counter() - began
    api.close()
    if len(page["imageDetails"]) != 100:
        raise BenchError(f"a page of 100 has {len(page['imageDetails'])} images")
    return Figure(
        elapsed * 1000, detail={"very first DescribeImages of the process ms": round(process_first * 1000, 2)}
    )


def _walk(port: int, size: int) -> tuple[str, dict[str, float | str]]:
    """The token of the last full page, and what the pages on the way cost; every image must be met exactly once."""
    api = Api(port)
    token, deep = "", ""
    digests: set[str] = set()
    met = 0
    times = []
    while True:
        began = time.perf_counter()
        page: dict[str, Any] = api.call("DescribeImages", **PAGE, **({"nextToken": token} if token else {}))
        times.append((time.perf_counter() - began) * 1000)
        digests.update(image["imageDigest"] for image in page["imageDetails"])
        met += len(page["imageDetails"])
        if len(page["imageDetails"]) == 100:
            deep = token or deep
        token = page.get("nextToken", "")
        if not token:
            break
    api.close()
    if met != size or len(digests) != size or not deep:
        raise BenchError(f"following the tokens met {met} images, {len(digests)} different ones, of {size}")
    return deep, {"pages walked": len(times), "median page of the walk ms": round(statistics.median(times), 2)}


def _by_tag(number: int) -> bytes:
    return api_request("BatchGetImage", {"repositoryName": REPOSITORY, "imageIds": [{"imageTag": f"v{number}"}]})


def _manifests(port: int, numbers: Sequence[int]) -> list[bytes]:
    """The pulls of these images' manifests."""
    api = Api(port)
    token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
    api.close()
    headers = {"Authorization": f"Basic {token}", "Accept": DOCKER_MANIFEST}
    return [get_request(f"/v2/{REPOSITORY}/manifests/v{number}", headers) for number in numbers]


def _one_client(run: Run, server: Server, requests: Sequence[bytes]) -> Figure:
    used = server.cpu_seconds()
    outcome = run_load(server.port, requests, 1, None, run.load_beside_one)
    used = server.cpu_seconds() - used
    detail = {
        "p99 ms": round(outcome.percentile(0.99), 2),
        "server CPU ms": round(used * 1000 / outcome.answers, 2),
        "answers": outcome.answers,
    }
    return Figure(outcome.percentile(0.5), detail=detail)
