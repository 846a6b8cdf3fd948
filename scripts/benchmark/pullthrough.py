"""The rows of pull-through caches: a first pull through a cache beside the same pull of its upstream, and later pulls.

The upstream is docker-registry. Cache, upstream and client share two cores: a first pull is work for all three of them,
and a pull of the upstream itself none but sending a file that is in memory. So docker-registry stands there as a cache
of the same upstream as well, which has the same to do: to fetch, verify, store and give at once.
"""

import http.client
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from benchmark.figures import BenchError, Comparison, Figure, Goal, Row, best_of
from benchmark.images import ImageSet, digest_of
from benchmark.load import run_load
from benchmark.processes import Server, stopping
from benchmark.registry import Blob, BlobSource, Registry, open_registry
from benchmark.run import Run
from benchmark.targets import ECRSIM, REGISTRY, Target
from benchmark.wire import DOCKER_MANIFEST, HOST, Api, get_request

COLD, WARM = "cache-cold-pull", "cache-warm-pull"
ROWS = (COLD, WARM)
THROUGH, DIRECT, PEER = "through the cache", "the upstream itself", "docker-registry as the cache"
CACHED, LOCAL = "a cached image", "a local image"
UPSTREAM, PREFIX, REPOSITORY = "quay.io", "cache", "library/app"
LAYERS, AT_ONCE, CONNECTIONS = 4, 3, 16


def measure(run: Run, wanted: Sequence[str]) -> list[Row]:
    rows: list[Row] = []
    if not set(ROWS) & set(wanted):
        return rows
    servers: dict[str, Server] = {}
    reasons: dict[str, str] = {}
    with stopping(servers):
        try:
            stack = _Stack(run, servers)
        except (BenchError, OSError) as error:
            reasons = dict.fromkeys((THROUGH, DIRECT, PEER, CACHED, LOCAL), str(error))
            stack = None
        if COLD in wanted:
            rows.append(_cold(run, stack, reasons))
        if WARM in wanted:
            rows.append(_warm(run, stack, reasons))
    run.clear()
    return rows


class _Stack:
    """An upstream, and an ecrsim that is a cache in front of it."""

    def __init__(self, run: Run, servers: dict[str, Server]) -> None:
        # BenchError where there is no docker-registry: an ecrsim would want a login that the cache has not.
        servers[DIRECT] = run.targets[REGISTRY].start(run.directory(DIRECT), run.two_cores)
        entry = f"{UPSTREAM}=http://{HOST}:{servers[DIRECT].port}"
        target = _with_options(run.targets[ECRSIM], "--upstream", entry)
        cache = servers[THROUGH] = target.start(run.directory(THROUGH), run.two_cores)
        self.servers = servers
        proxy = {"REGISTRY_PROXY_REMOTEURL": f"http://{HOST}:{servers[DIRECT].port}"}
        registry = run.targets[REGISTRY]
        peer = replace(registry, environment=lambda port: {**registry.environment(port), **proxy})
        servers[PEER] = peer.start(run.directory(PEER), run.two_cores)
        self.peer = Registry(servers[PEER].port, REPOSITORY)
        self.upstream = open_registry(servers[DIRECT].port, REPOSITORY, is_ecr=False)
        self._source = BlobSource(run.plan.blob_bytes // LAYERS)
        api = Api(cache.port)
        api.call("CreatePullThroughCacheRule", ecrRepositoryPrefix=PREFIX, upstreamRegistryUrl=UPSTREAM)
        token = api.call("GetAuthorizationToken")["authorizationData"][0]["authorizationToken"]
        api.close()
        self.through = Registry(cache.port, f"{PREFIX}/{REPOSITORY}", token)
        self.local = open_registry(cache.port, "local/app", is_ecr=True)

    def new_image(self, tag: str) -> tuple[list[str], int]:
        """Push a new image to the upstream: the digests of its layers, and their bytes."""
        blobs = [self._source.blob() for _ in range(LAYERS)]
        config = json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()
        for blob in blobs:
            self.upstream.push_whole(blob)
        self.upstream.push_small(config)
        put_manifest(self.upstream, tag, config, blobs)
        return [digest_of(config), *(blob.digest for blob in blobs)], sum(blob.size for blob in blobs)


def _with_options(target: Target, *options: str) -> Target:
    return replace(target, command=lambda port, data: [*target.command(port, data), *options])


def put_manifest(registry: Registry, tag: str, config: bytes, blobs: Sequence[Blob]) -> None:
    layer = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    document = {
        "schemaVersion": 2,
        "mediaType": DOCKER_MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(config),
            "digest": digest_of(config),
        },
        "layers": [{"mediaType": layer, "size": blob.size, "digest": blob.digest} for blob in blobs],
    }
    connection = http.client.HTTPConnection(HOST, registry.port, timeout=60)
    path = f"/v2/{registry.repository}/manifests/{tag}"
    connection.request("PUT", path, json.dumps(document), {**registry.headers, "Content-Type": DOCKER_MANIFEST})
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    if answer.status != 201:
        raise BenchError(f"PUT of a manifest answered {answer.status}: {content[:200].decode(errors='replace')}")


def _pull(registry: Registry, tag: str, digests: Sequence[str], size: int) -> float:
    """Megabytes per second of a pull as docker does it: the manifest, then its blobs, a few at once."""
    began = time.perf_counter()
    registry.get_manifest(tag)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(registry.pull, digests))
    return size / 1e6 / (time.perf_counter() - began)


def _cold(run: Run, stack: _Stack | None, reasons: Mapping[str, str]) -> Row:
    what = f"first pull of a new image, {LAYERS} layers, {run.plan.blob} in all"
    run.say(what)
    count = iter(range(1000))

    def sample(label: str) -> Figure:
        if stack is None:
            raise BenchError("no cache")
        tag = f"v{next(count)}"
        digests, size = stack.new_image(tag)
        # Both find the upstream's bytes in memory, and no dirty page of what was pushed.
        os.sync()
        server = stack.servers[label]
        used = server.cpu_seconds()
        speed = _pull({DIRECT: stack.upstream, PEER: stack.peer, THROUGH: stack.through}[label], tag, digests, size)
        detail = {"its CPU s": round(server.cpu_seconds() - used, 2)}
        return Figure(speed, detail={**detail, "its MiB": round(server.memory().pss / 1048576)})

    figures = best_of(run.plan.trials, (DIRECT, PEER, THROUGH), sample, "more", reasons)
    compared = (Comparison(THROUGH, DIRECT, Goal("≥", 0.8)), Comparison(THROUGH, PEER, Goal("≥", 1)))
    return Row(COLD, what, "MB/s", figures, compared)


def _warm(run: Run, stack: _Stack | None, reasons: Mapping[str, str]) -> Row:
    what = f"later manifest GETs by tag, {CONNECTIONS} connections"
    run.say(what)
    images = ImageSet(10)
    if stack is not None:
        for registry in (stack.upstream, stack.local):
            registry.push_image(images, 1234, "bench")
        stack.through.get_manifest("bench")

    def sample(label: str) -> Figure:
        if stack is None:
            raise BenchError("no cache")
        registry = stack.through if label == CACHED else stack.local
        headers = {**registry.headers, "Accept": DOCKER_MANIFEST}
        request = get_request(f"/v2/{registry.repository}/manifests/bench", headers)
        cores = run.load_beside_two
        return Figure(run_load(registry.port, [request], CONNECTIONS, run.plan.seconds, cores).rate)

    figures = best_of(run.plan.trials, (LOCAL, CACHED), sample, "more", reasons)
    return Row(WARM, what, "/s", figures, (Comparison(CACHED, LOCAL, Goal("≥", 0.95)),))
