"""What a load costs, and how far an arrangement of machines carries it: sums over unit costs, and nothing else.

All rates are those of the busiest second. A pull asks for its manifests (an index by its tag, then an image by its
digest), for the config and for the layers that its client lacks. A push asks for each of its layers whether it is
there, uploads those that are new, and puts its manifests.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields

DAY = 24 * 3600


@dataclass(frozen=True, kw_only=True)
class Units:
    """Unit costs: seconds of one core, bytes, statements. All of them are measured (`units.toml`)."""

    #: Seconds of a node's core for one request.
    node_manifest_get: float
    node_blob_redirect: float
    node_blob_get: float
    node_manifest_put: float
    node_blob_head: float
    node_layer_push: float
    #: Seconds of a node's core for a byte of a layer.
    node_byte_pulled: float
    node_byte_pushed: float
    #: Statements that the database is sent for one request, those that begin and end transactions among them.
    statements_manifest_get: float
    statements_blob_get: float
    statements_manifest_put: float
    statements_blob_head: float
    statements_layer_push: float
    #: Seconds of the database server's cores for one request, all of its statements together.
    database_manifest_get: float
    database_blob_get: float
    database_manifest_put: float
    database_blob_head: float
    database_layer_push: float
    #: What a worker that nobody asks sends in a second, looking for jobs and events, and what it costs there.
    idle_statements: float
    idle_database: float
    #: Bytes between a node and the database, both ways, for one manifest and for one blob that are asked for.
    wire_manifest_get: float
    wire_blob_get: float
    #: Bytes of an answer without the manifest or the layer that is in it.
    answer_overhead: float
    answer_redirect: float
    #: Connections of one worker to the database when it is busy, and what each costs the database server, in bytes.
    worker_connections: float
    connection_memory: float
    #: Bytes that the database grows by with an image of four layers, its tag and its event.
    database_image: float
    #: Images a second that one database took, all clients together: the most that was seen.
    pushes_per_second: float


@dataclass(frozen=True, kw_only=True)
class Load:
    """What is asked of the registry."""

    pulls_per_day: float = 1e6
    pushes_per_day: float = 1e4
    images: float = 1e5
    #: The busiest second over the average one.
    peak: float = 3
    layers: float = 8
    layer_bytes: float = 30e6
    manifest_bytes: float = 3e3
    #: Manifests of one pull: an index, and an image of it.
    manifests: float = 2
    #: Of the layers of a pull, those that the client has already; of a push, those that the registry has.
    layers_kept: float = 0.75

    @property
    def pulls(self) -> float:
        """A second, in the busiest one."""
        return self.pulls_per_day / DAY * self.peak

    @property
    def pushes(self) -> float:
        """The same for pushes."""
        return self.pushes_per_day / DAY * self.peak

    @property
    def blobs_per_pull(self) -> float:
        """The config and the layers that are new to the client: without a new layer the config is known as well."""
        new = self.layers * (1 - self.layers_kept)
        return new + min(1.0, new)


@dataclass(frozen=True, kw_only=True)
class Machines:
    """What is given, and how it is arranged. The limits are the user's; none of them is ecrsim's."""

    #: Answer a pull of a layer with 307 to the object store.
    redirect: bool = False
    #: Of the manifests that are asked for by digest, those that a node knows by itself: they never change.
    manifest_cache: float = 0.0
    #: Streaming replicas that answer reads.
    replicas: int = 0
    #: Databases that share the repositories among them.
    partitions: int = 1
    #: Connections that a pooler keeps to each database, whatever the number of nodes; 0: there is none.
    pool: int = 0
    node_cores: float = 8
    node_bits: float = 10e9
    database_cores: float = 32
    database_connections: float = 1000
    #: How busy a machine may be in the busiest second.
    busy: float = 0.7


@dataclass(frozen=True, kw_only=True)
class Sizing:
    """What the load takes, in the busiest second."""

    statements: float
    statements_per_pull: float
    node_bytes: float
    node_bytes_per_pull: float
    node_cores: float
    nodes: int
    #: Of these statements, those of workers that look for jobs and events, whatever is pulled.
    idle_statements: float
    #: Of each primary and of each replica; 0 where there is no replica.
    primary_cores: float
    replica_cores: float
    database_wire_bytes: float
    connections: float
    connection_memory: float
    database_bytes: float
    store_bytes: float
    store_requests: float
    #: By the name of what is limited: at how many pulls a day it is used up, pushes and all growing with them.
    limits: dict[str, float]

    @property
    def breaks_first(self) -> tuple[str, float]:
        """What reaches its limit first, and at how many pulls a day."""
        return min(self.limits.items(), key=lambda each: each[1])


def size(load: Load, machines: Machines, units: Units) -> Sizing:
    """The sums."""
    known = machines.manifest_cache * (load.manifests - 1)  # the first one is asked for by its tag, which may move
    asked = load.manifests - known
    blobs, new = load.blobs_per_pull, load.layers * (1 - load.layers_kept)
    layer_bytes = new * load.layer_bytes
    through = 0.0 if machines.redirect else layer_bytes

    pull_statements = asked * units.statements_manifest_get + blobs * units.statements_blob_get
    push_statements = (
        load.layers * units.statements_blob_head
        + new * units.statements_layer_push
        + load.manifests * units.statements_manifest_put
    )
    per_blob = units.node_blob_redirect if machines.redirect else units.node_blob_get
    pull_cpu = load.manifests * units.node_manifest_get + blobs * per_blob + through * units.node_byte_pulled
    push_cpu = (
        load.layers * units.node_blob_head
        + new * units.node_layer_push
        + layer_bytes * units.node_byte_pushed
        + load.manifests * units.node_manifest_put
    )
    pull_reads = asked * units.database_manifest_get + blobs * units.database_blob_get
    push_writes = (
        load.layers * units.database_blob_head
        + new * units.database_layer_push
        + load.manifests * units.database_manifest_put
    )
    per_answer = units.answer_redirect if machines.redirect else units.answer_overhead
    pull_bytes = load.manifests * (load.manifest_bytes + units.answer_overhead) + blobs * per_answer + through
    push_bytes = layer_bytes + load.manifests * load.manifest_bytes

    cores = load.pulls * pull_cpu + load.pushes * push_cpu
    node_bytes = load.pulls * pull_bytes + load.pushes * push_bytes
    nodes = max(
        1,
        math.ceil(cores / (machines.node_cores * machines.busy)),
        math.ceil(node_bytes * 8 / (machines.node_bits * machines.busy)),
    )
    workers = nodes * machines.node_cores
    connections = machines.pool or workers * units.worker_connections
    readers = machines.replicas or 1
    reads, written = load.pulls * pull_reads / machines.partitions, load.pushes * push_writes / machines.partitions
    idle = workers * units.idle_database / machines.partitions
    at_primary = 0.0 if machines.replicas else reads
    limited = _limited(load, machines, units, reads, written, idle, connections)
    return Sizing(
        statements=load.pulls * pull_statements + load.pushes * push_statements + workers * units.idle_statements,
        idle_statements=workers * units.idle_statements,
        statements_per_pull=pull_statements,
        node_bytes=node_bytes,
        node_bytes_per_pull=pull_bytes,
        node_cores=cores,
        nodes=nodes,
        primary_cores=at_primary + written + idle,
        # A replica writes all that the primary writes, beside what it is asked.
        replica_cores=reads / readers + written if machines.replicas else 0.0,
        database_wire_bytes=load.pulls * (asked * units.wire_manifest_get + blobs * units.wire_blob_get),
        connections=connections,
        connection_memory=connections * units.connection_memory,
        database_bytes=load.images * units.database_image / machines.partitions,
        store_bytes=load.images * layer_bytes,
        store_requests=load.pulls * blobs + load.pushes * new,
        limits={name: load.pulls_per_day * limit / used for name, used, limit in limited if used},
    )


def _limited(
    load: Load, machines: Machines, units: Units, reads: float, written: float, idle: float, connections: float
) -> Iterator[tuple[str, float, float]]:
    """Each thing that cannot simply be doubled, as nodes can: how much of it is used, and how much there is."""
    cores = machines.database_cores * machines.busy
    if machines.replicas:
        yield "cores of the primary", written + idle, cores
        yield "cores of a replica", reads / machines.replicas + written, cores
    else:
        yield "cores of the database", reads + written + idle, cores
    yield "pushes into one database", load.pushes / machines.partitions, units.pushes_per_second
    if not machines.pool:
        yield "connections of the database", connections, machines.database_connections


#: The steps of docs/scaling.md, each with one thing more.
STEPS: tuple[tuple[str, Machines], ...] = (
    ("nodes over one database, bytes through the nodes", Machines()),
    ("and redirects to the object store", Machines(redirect=True)),
    ("and a pool of connections", Machines(redirect=True, pool=400)),
    ("and caches of manifests by digest, 95% known", Machines(redirect=True, pool=400, manifest_cache=0.95)),
    ("and four read replicas", Machines(redirect=True, pool=400, manifest_cache=0.95, replicas=4)),
    (
        "and sixteen partitions, each with its replicas",
        Machines(redirect=True, pool=400, manifest_cache=0.95, replicas=4, partitions=16),
    ),
)
NAMES = tuple(field.name for field in fields(Units))
