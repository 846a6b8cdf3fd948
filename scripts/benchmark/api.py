"""The JSON API rows: eight clients against one core of each server, and against two.

moto and ministack ignore maxResults and answer DescribeImages with all images of the repository; they keep everything
in memory only. Both stay as they are: this is what a user of theirs waits for.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet
from benchmark.load import Outcome, run_load
from benchmark.processes import Server, stopping
from benchmark.run import Run
from benchmark.targets import ECRSIM, MINISTACK, MOTO
from benchmark.wire import Api, api_request

Cores = tuple[int, ...]

CLIENTS = 8
REPOSITORIES = 100
IMAGES = "bench/r000"
NAMES = ("describe-repositories", "describe-images", "batch-get-image", "get-authorization-token", "put-image")
TWO_CORES = "-two-cores"
ROWS = (*NAMES, *(name + TWO_CORES for name in NAMES))
LABELS = (ECRSIM, MINISTACK, MOTO)


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    one = [name for name in NAMES if name in wanted]
    two = [name for name in NAMES if name + TWO_CORES in wanted]
    rows = _measure(run, one, run.one_core, run.load_beside_one) if one else []
    if two:
        rows += [
            replace(row, name=row.name + TWO_CORES, what=f"{row.what}, on two cores")
            for row in _measure(run, two, run.two_cores, run.load_beside_two)
        ]
    return rows


def _measure(run: Run, wanted: Sequence[str], cores: Cores, load: Cores) -> list[Row]:
    servers: dict[str, Server] = {}
    with stopping(servers):
        reasons = run.start(LABELS, cores, servers)
        images = ImageSet(10)
        for label, server in servers.items():
            run.say(f"{label}: {REPOSITORIES} repositories, {run.plan.images} images")
            try:
                _fill(run, images, server.port)
            except BenchError as error:
                reasons[label] = f"cannot be filled: {error}"
        rows = [_read_row(run, row, servers, reasons, load) for row in _reads(run) if row[0] in wanted]
        if "put-image" in wanted:
            rows.append(_put_row(run, images, servers, reasons, load))
    run.clear()
    return rows


def fill_images(
    run: Run, images: ImageSet, port: int, repository: str, numbers: range, load: Cores | None = None
) -> Outcome:
    """PutImage for each number, by eight clients."""
    requests = [api_request("PutImage", images.put_image(repository, number)) for number in numbers]
    return run_load(port, requests, CLIENTS, None, run.load_beside_one if load is None else load)


def _fill(run: Run, images: ImageSet, port: int) -> None:
    api = Api(port)
    images.create_repository(api, IMAGES)
    for number in range(1, REPOSITORIES):
        api.call("CreateRepository", repositoryName=f"bench/r{number:03}")
    api.close()
    fill_images(run, images, port, IMAGES, range(run.plan.images))


_ReadRow = tuple[str, str, list[bytes], Callable[[Api], bool], tuple[Comparison, ...]]


def _reads(run: Run) -> list[_ReadRow]:
    """Name, text, requests sent in turn, the check of a first answer, and what is compared, of each reading row."""
    page = {"repositoryName": IMAGES, "maxResults": 100}
    tags = [f"v{number}" for number in range(0, run.plan.images, max(1, run.plan.images // 100))]
    by_tag = [{"repositoryName": IMAGES, "imageIds": [{"imageTag": tag}]} for tag in tags]

    def repositories(api: Api) -> bool:
        return len(api.call("DescribeRepositories", maxResults=100)["repositories"]) == REPOSITORIES

    def page_of_images(api: Api) -> bool:
        return len(api.call("DescribeImages", **page)["imageDetails"]) in (100, run.plan.images)

    def one_image(api: Api) -> bool:
        found = api.call("BatchGetImage", **by_tag[-1])["images"]
        return [image["imageId"].get("imageTag") for image in found] == [tags[-1]] and "layers" in found[0][
            "imageManifest"
        ]

    def token(api: Api) -> bool:
        return bool(api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"])

    return [
        (
            "describe-repositories",
            "DescribeRepositories, page of 100",
            [api_request("DescribeRepositories", {"maxResults": 100})],
            repositories,
            _against(3, 30),
        ),
        (
            "describe-images",
            f"DescribeImages, page of 100 from {run.plan.images:,}",
            [api_request("DescribeImages", page)],
            page_of_images,
            _against(5, 30),
        ),
        (
            "batch-get-image",
            "BatchGetImage by tag",
            [api_request("BatchGetImage", members) for members in by_tag],
            one_image,
            _against(3),
        ),
        (
            "get-authorization-token",
            "GetAuthorizationToken",
            [api_request("GetAuthorizationToken", {})],
            token,
            _against(3),
        ),
    ]


def _against(ministack: float, moto: float | None = None) -> tuple[Comparison, ...]:
    return (
        Comparison(ECRSIM, MINISTACK, Goal("≥", ministack)),
        Comparison(ECRSIM, MOTO, Goal("≥", moto) if moto else None),
    )


def _read_row(run: Run, row: _ReadRow, servers: dict[str, Server], reasons: dict[str, str], load: Cores) -> Row:
    name, what, requests, check, comparisons = row
    checked: set[str] = set()

    def sample(label: str) -> Figure:
        port = servers[label].port
        if label not in checked:
            api = Api(port)
            if not check(api):
                raise BenchError("the first answer has not the content that it should have")
            api.close()
            checked.add(label)
        return _figure(run_load(port, requests, CLIENTS, run.plan.seconds, load))

    run.say(what)
    return Row(name, what, "/s", best_of(run.plan.trials, LABELS, sample, "more", reasons), comparisons)


def _put_row(run: Run, images: ImageSet, servers: dict[str, Server], reasons: dict[str, str], load: Cores) -> Row:
    """PutImage into a repository that is new in each trial, because the peers slow down with the images in it."""
    count = run.plan.put_images

    def sample(label: str) -> Figure:
        port = servers[label].port
        api = Api(port)
        images.create_repository(api, "bench/put")
        outcome = fill_images(run, images, port, "bench/put", range(count), load)
        found = api.call("BatchGetImage", repositoryName="bench/put", imageIds=[{"imageTag": f"v{count - 1}"}])[
            "images"
        ]
        if len(found) != 1 or found[0]["imageManifest"] != images.manifest(count - 1):
            raise BenchError("the last image that was put is not there")
        api.call("DeleteRepository", repositoryName="bench/put", force=True)
        api.close()
        return _figure(outcome)

    what = f"PutImage, {count:,} unique manifests (peers: in memory only)"
    run.say(what)
    figures = best_of(run.plan.trials, LABELS, sample, "more", reasons)
    return Row("put-image", what, "/s", figures, _against(1))


def _figure(outcome: Outcome) -> Figure:
    detail = {
        "p50 ms": round(outcome.percentile(0.5), 2),
        "p99 ms": round(outcome.percentile(0.99), 2),
        "answers": outcome.answers,
        "load busy": round(outcome.busy, 2),
    }
    return Figure(outcome.rate, detail=detail)
