"""Every knob of ecrsim, typed and documented; the only reader of the environment.

Precedence: command line, then `ECRSIM_…` variables, then the file of `--config` (TOML, the same names), then defaults.
An empty variable is one that is not set, as it is where a compose file passes on what its user did not give.

`docs/configuration.md` is held against this file by a test; the comments between the settings are its headings.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, get_type_hints

from ecrsim import bounds
from ecrsim.spelling import hint, strange
from ecrsim.values import ConfigError, Texts, default_data_dir, is_account, parse, variable, whole_of

__all__ = [
    "Config",
    "ConfigError",
    "Texts",
    "is_account",
    "load",
    "parse_lines",
    "strange_variables",
    "variable",
    "with_values",
]

MIB = 1024 * 1024

#: Settings that are places on the disk, in which a leading `~` is the user's home.
_PATHS = (
    *("data_dir", "blob_store", "tls_cert", "tls_key", "principals", "targets", "target_dir"),
    *("upstream_ca", "secrets", "s3_aws_ca_bundle", "secret_key_file"),
)
#: Settings that have a variable without a prefix as well.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy")


def _knob(default: Any, help: str, *, choices: tuple[str, ...] = (), flag: bool = True) -> Any:
    """`flag=False`: no command-line option of its own (variable and file only)."""
    return field(default=default, metadata={"help": help, "choices": choices, "flag": flag})


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The settings of one ecrsim. Durations are seconds, sizes bytes."""

    # Where it listens
    host: str = _knob("127.0.0.1", "address to listen on; with the default, ::1 is served as well")
    port: int = _knob(5100, "port for the API and the registry; 0 takes any free one")
    tls: bool = _knob(False, "serve HTTPS as well, on --tls-port, with a certificate authority of ecrsim's own")
    tls_port: int = _knob(5143, "port for HTTPS; 0 takes any free one, which the log names")
    tls_cert: str = _knob("", "certificate chain (PEM) to use instead of ecrsim's own authority; implies --tls")
    tls_key: str = _knob("", "private key (PEM) of --tls-cert")
    workers: int = _knob(1, "worker processes over the one data directory")
    node: str = _knob("", "name of this node among others over one database (default: host name and port)")
    drain_delay: int = _knob(
        0, "seconds from SIGTERM in which requests are taken still, while /_ecrsim/ready tells balancers to send none"
    )
    threads: int = _knob(4, "threads of one worker for bytes of uploads, and as many for long work", flag=False)
    remote_threads: int = _knob(16, "threads of one worker that wait for a blob store behind a network", flag=False)
    log_format: str = _knob("text", "log lines as text or as JSON objects", choices=("text", "json"))
    loop_limit: int = _knob(
        0, "milliseconds of computing after which the log names what holds up a worker's loop; 0: never", flag=False
    )
    access_log: bool = _knob(False, "log each request")

    # Where it keeps things
    data_dir: str = _knob("", "directory of the database and the bytes (default: the user's data directory)")
    ephemeral: bool = _knob(False, "keep everything in a temporary directory that goes when ecrsim stops")
    database_url: str = _knob(
        "",
        "postgresql://USER@HOST/DATABASE[?schema=NAME], or sqlite:///PATH (default: ecrsim.db in the data directory)",
    )
    blob_store: str = _knob("", "directory for layers and uploads, or s3://BUCKET/PREFIX (default: the data directory)")
    blob_s3_sse: str = _knob(
        "bucket",
        "encryption that S3 is asked for; bucket: whatever the bucket does by itself",
        choices=("bucket", "AES256", "aws:kms", "aws:kms:dsse"),
    )
    blob_s3_kms_key: str = _knob("", "id or ARN of the KMS key for --blob-s3-sse aws:kms (default: S3's own)")
    blob_s3_public_url: str = _knob("", "URL of the S3 server in redirected pulls, where clients know it by another")
    s3_aws_access_key_id: str = _knob("", "access key for the bucket of --blob-store", flag=False)
    s3_aws_secret_access_key: str = _knob("", "its secret", flag=False)
    s3_aws_session_token: str = _knob("", "its session token, if it has one", flag=False)
    s3_aws_profile: str = _knob("", "profile of AWS's configuration files with a key, instead of it", flag=False)
    s3_aws_region: str = _knob("", "region of the bucket (default: the profile's, else us-east-1)", flag=False)
    s3_aws_endpoint_url: str = _knob("", "URL of the S3 server, where it is not AWS's", flag=False)
    s3_aws_ca_bundle: str = _knob("", "certificates (PEM) to trust of it instead of the usual ones", flag=False)
    durability: str = _knob(
        "process",
        "process: what was acknowledged survives a killed process; power: a power cut as well, at the price of waiting "
        "for the disk at each write",
        choices=("process", "power"),
    )

    encrypt: bool = _knob(False, "encrypt layers and manifests at rest; a data directory is begun so, or not")
    secret_key_file: str = _knob("", "file of the key that seals secrets (default: secret.key in the data directory)")

    # Clock and events
    clock: str = _knob(
        "",
        "real, frozen, or frozen@TIME (ISO 8601), from this start on; by default as it was left, and real at first",
    )
    jobs: str = _knob(
        "worker",
        "who runs jobs that are due: worker: a thread; settle: each request, before its answer leaves; manual: nobody, "
        "but POST /_ecrsim/jobs/run and advancing the clock",
        choices=("worker", "settle", "manual"),
    )
    lifecycle_interval: int = _knob(24 * 3600, "seconds between two runs of a lifecycle policy", flag=False)
    preview_delay: int = _knob(0, "seconds that a lifecycle policy preview takes; in ECR some", flag=False)
    restore_delay: int = _knob(5, "seconds that restoring an archived image takes; in ECR up to 20 minutes", flag=False)
    region_endpoint: Texts = _knob(Texts(), "REGION=URL: another site, to which copies for that region are sent")  # noqa: RUF009
    replication_delay: int = _knob(1, "seconds that a copy of an image takes; in ECR up to 30 minutes", flag=False)
    scan_delay: int = _knob(1, "seconds that a scan of an image takes; in ECR up to some minutes", flag=False)
    signing_delay: int = _knob(1, "seconds after a push that its signature takes; in ECR some minutes", flag=False)
    rescan_interval: int = _knob(
        24 * 3600, "seconds between two looks at all images that are scanned continuously", flag=False
    )
    scan_duration: int = _knob(
        14, "days after its last push or pull in which an image is scanned continuously; 0: for ever", flag=False
    )
    scanner: str = _knob(
        "own",
        "who looks for vulnerabilities: ecrsim (own), or trivy or grype, as they are installed, with their databases",
        choices=("own", "trivy", "grype"),
    )
    aws_delays: bool = _knob(
        False, "let previews, restores, copies, scans and signatures take as long as ECR was seen to take"
    )
    targets: str = _knob("", "file of event targets and rules (TOML or JSON), known from the start")
    target_dir: str = _knob("", "directory that files of targets are in (default: the data directory)", flag=False)
    allow_link_local: bool = _knob(
        False, "let targets be at link-local and metadata addresses, such as 169.254.169.254", flag=False
    )
    events_limit: int = _knob(10_000, "newest events that are kept after they were delivered; 0: none", flag=False)

    # Account and region
    account: str = _knob("000000000000", "default account: of access keys that are not 12 digits")
    region: str = _knob("us-east-1", "default region: of requests that name none")
    auth: str = _knob(
        "open", "open: any access key is accepted; strict: unknown keys are refused", choices=("open", "strict")
    )
    principals: str = _knob("", "file of users, roles and access keys (TOML or JSON), known from the start")
    open_assume_role: bool = _knob(
        False, "with --auth open, root may assume any role of its account, also one that nobody knows; AWS lets no root"
    )
    kms_endpoint: str = _knob(
        "",
        "URL of the KMS with the keys of repositories: moto's, LocalStack's, or AWS's own; without one `ecrsim keys`",
    )
    audit_limit: int = _knob(100_000, "newest decisions that the audit keeps; 0: none", flag=False)
    registry_host: str = _knob(
        "localhost",
        "what repositoryUri and proxyEndpoint begin with: localhost, domain (<account>.dkr.ecr.<region>.localhost), "
        "aws (<account>.dkr.ecr.<region>.amazonaws.com), or any host[:port]",
    )

    # Differences from ECR
    create_on_push: bool = _knob(
        False,
        "a push to a repository that is missing creates it, as by a creation template with the prefix ROOT for "
        "CREATE_ON_PUSH in every registry",
    )
    sparse: bool = _knob(False, "accept an image or index whose layers or images are not all there; ECR refuses it")
    blob_mounting: bool = _knob(False, "accounts begin with BLOB_MOUNTING enabled; ECR's default is disabled")
    strict_ecr: bool = _knob(False, "answer on /v2/ as ECR does even where the OCI specification says otherwise")
    blob_redirect: bool = _knob(False, "answer a blob GET with 307 to a signed URL, as ECR does, instead of the bytes")
    public_limits: bool = _knob(
        False,
        "hold requests to ECR Public to its limits, on ecrsim's clock: without credentials one pull a second and "
        "500 GB a month, else ten pulls a second",
    )
    record_every_pull: bool = _knob(False, "move lastRecordedPullTime at each pull; ECR moves it once in 24 hours")

    # Other registries, as upstreams
    upstream: Texts = _knob(  # noqa: RUF009 - a tuple cannot change
        Texts(),
        "NAME=URL: where the registry of that name is asked, as in registry-1.docker.io=http://127.0.0.1:5001; may be "
        "repeated",
    )
    upstream_network: bool = _knob(
        False,
        "ask registries that have no address here at their own, by https; without it ecrsim contacts this machine and "
        "what --upstream names, and nothing else",
    )
    upstream_ca: str = _knob("", "certificates (PEM) to trust of upstreams besides the system's")
    secrets: str = _knob("", "file of the credentials for upstreams (TOML or JSON), by name or ARN of the secret")
    secretsmanager_endpoint: str = _knob(
        "", "URL of the Secrets Manager that has the credentials for upstreams: moto's, LocalStack's, or AWS's own"
    )
    http_proxy: str = _knob("", "proxy for upstreams by http (default: the usual variable of that name)", flag=False)
    https_proxy: str = _knob("", "proxy for upstreams by https (default: the usual variable of that name)", flag=False)
    no_proxy: str = _knob("", "hosts that no proxy is asked for (default: the usual variable)", flag=False)

    # Lifetimes
    token_lifetime: int = _knob(12 * 3600, "seconds that an authorization token is good for", flag=False)
    download_url_lifetime: int = _knob(3600, "seconds that a URL of GetDownloadUrlForLayer is good for", flag=False)
    upload_lifetime: int = _knob(24 * 3600, "seconds after which an unfinished layer upload expires", flag=False)
    gc_interval: int = _knob(600, "seconds between two garbage collections while serving; 0: never", flag=False)
    gc_grace: int = _knob(24 * 3600, "seconds that a layer stays after its last use by an image or a push", flag=False)
    scrub_rate: int = _knob(
        4 * MIB,
        "bytes per second at which the scrub reads layers in the background, to find damage; 0: never",
        flag=False,
    )
    scrub_interval: int = _knob(
        7 * 24 * 3600, "seconds from the end of one reading of all layers to the beginning of the next", flag=False
    )

    # Quotas (ECR's own numbers)
    quota_repositories: int = _knob(100_000, "repositories per registry", flag=False)
    quota_images: int = _knob(100_000, "images per repository, archived ones not counted", flag=False)
    quota_tags_per_image: int = _knob(1_000, "tags per image", flag=False)
    quota_layers_per_image: int = _knob(500, "layers per image", flag=False)
    quota_layer_parts: int = _knob(4_200, "parts per layer upload", flag=False)
    quota_layer_size: int = _knob(52_000 * MIB, "bytes per layer", flag=False)
    quota_layer_part_min: int = _knob(5 * MIB, "bytes of a layer part, the last excepted", flag=False)
    quota_public_repositories: int = _knob(10_000, "repositories per registry of ECR Public", flag=False)
    quota_public_layer_parts: int = _knob(1_000, "parts per layer upload to ECR Public", flag=False)
    quota_public_layer_size: int = _knob(10_000 * MIB, "bytes per layer of ECR Public", flag=False)
    quota_public_data: int = _knob(
        500 * 1000**3,
        "bytes a month that an address may pull from ECR Public without credentials, with public_limits",
        flag=False,
    )
    quota_resource_tags: int = _knob(50, "resource tags per repository", flag=False)
    quota_templates: int = _knob(1_000, "creation templates per registry; ECR's number is not known", flag=False)
    quota_scans: int = _knob(100_000, "basic scans per registry in 24 hours", flag=False)
    quota_scan_size: int = _knob(
        50 * 1024 * MIB, "bytes of an image that is scanned, compressed; ECR's number is not known", flag=False
    )
    quota_cache_rules: int = _knob(50, "pull-through cache rules per registry", flag=False)
    quota_pull_time_exclusions: int = _knob(100, "pull-time update exclusions per registry", flag=False)

    # The HTTP edge
    max_body: int = _knob(32 * MIB, "bytes of an API request body", flag=False)
    max_headers: int = _knob(64 * 1024, "bytes of the headers of a request; at most 128 KiB", flag=False)
    connections: int = _knob(16_384, "connections that one worker holds open, idle ones included", flag=False)
    header_timeout: int = _knob(
        300, "seconds in which the headers of a request must have come, or, on an idle connection, begun", flag=False
    )
    body_grace: int = _knob(60, "seconds for which a body may come at any pace", flag=False)
    body_rate: int = _knob(1024, "bytes a second that a body must come at on the average, after that", flag=False)
    write_timeout: int = _knob(300, "seconds after which a client is let go that takes nothing of its answer")
    trusted_proxies: int = _knob(
        0,
        "proxies between the clients and ecrsim, whose X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host are "
        "believed: of the addresses, the one that the outermost of them wrote",
        flag=False,
    )
    cors_origins: str = _knob(
        "", "origins whose pages may call the API from a browser, with commas (http://localhost:3000); *: all"
    )
    admin: bool = _knob(True, "serve /_ecrsim/; health is served whatever this says", flag=False)
    admin_token: str = _knob(
        "",
        "token that all of /_ecrsim/ but health asks for (Authorization: Bearer …). Without it one is made and kept in "
        "the data directory; all asks for it with --auth strict, else what reaches beyond ecrsim, unless it comes from "
        "loopback",
    )

    def __post_init__(self) -> None:
        bounds.check(self)

    @property
    def preview_seconds(self) -> int:
        return 10 if self.aws_delays else self.preview_delay

    @property
    def restore_seconds(self) -> int:
        # Measured once, with a small image: 9 minutes and 10 seconds.
        return 550 if self.aws_delays else self.restore_delay

    @property
    def scan_seconds(self) -> int:
        return 30 if self.aws_delays else self.scan_delay

    @property
    def signing_seconds(self) -> int:
        # Seen as COMPLETE within some minutes; the number is inferred.
        return 60 if self.aws_delays else self.signing_delay

    @property
    def wants_tls(self) -> bool:
        return self.tls or bool(self.tls_cert)

    @property
    def host_to_ask(self) -> str:
        """The address under which this machine reaches a server that listens on `host`."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - to ask, not to listen

    def database_url_in(self, data_dir: Path) -> str:
        """The URL of the database when this is the data directory. An ephemeral ecrsim has a schema of its own."""
        url = self.database_url or f"sqlite:///{data_dir / 'ecrsim.db'}"
        if not self.ephemeral or url.startswith("sqlite:"):
            return url
        url = re.sub(r"(?<=[?&])schema=[^&]*&?", "", url).rstrip("?&")
        return f"{url}{'&' if '?' in url else '?'}schema={re.sub('[^a-z0-9]', '_', data_dir.name.lower())}"

    def blob_store_in(self, data_dir: Path) -> str:
        """Where the bytes are when this is the data directory: a directory, or s3://BUCKET/PREFIX."""
        return self.blob_store or str(data_dir)

    @property
    def database_file(self) -> Path:
        """Where SQLite keeps the database, `ephemeral` aside."""
        return self.database_file_in(Path(self.data_dir))

    def database_file_in(self, data_dir: Path) -> Path:
        """Where SQLite keeps the database when this is the data directory."""
        url = self.database_url if self.database_url.startswith("sqlite:") else ""
        given = url.removeprefix("sqlite:///").partition("?")[0]
        return Path(given) if given else data_dir / "ecrsim.db"


def load(
    given: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, file: str | None = None
) -> Config:
    """The configuration from a command line's or a program's values, the environment and a TOML file. ConfigError."""
    environ = os.environ if environ is None else environ
    given = given or {}
    for name in given.keys() - _names():
        raise ConfigError(f"there is no setting named {name}{hint(name, _names())}")
    file = file or environ.get("ECRSIM_CONFIG") or None
    values = _from_file(file) if file else {}
    types = get_type_hints(Config)
    for knob in fields(Config):
        text = environ.get(variable(knob.name))
        if text:
            values[knob.name] = parse(knob.name, types[knob.name], text)
    values.update({name: whole_of(types[name], value) for name, value in given.items() if value is not None})
    for name in _PROXIES:
        # In lower case first, as other programs have it.
        values[name] = values.get(name) or environ.get(name) or environ.get(name.upper()) or ""
    values["data_dir"] = values.get("data_dir") or default_data_dir(environ)
    for name in _PATHS:
        path = values.get(name)
        if isinstance(path, os.PathLike):
            path = values[name] = os.fspath(path)
        if isinstance(path, str) and path.startswith("~"):
            values[name] = str(Path(path).expanduser())
    return Config(**values)


def parse_lines(lines: Iterable[str]) -> dict[str, Any]:
    """Values of settings that are written as lines, `account = 123456789012`. ConfigError."""
    values: dict[str, Any] = {}
    types = get_type_hints(Config)
    for line in lines:
        key, equals, text = (part.strip() for part in line.partition("="))
        name = key.replace("-", "_")
        if not equals:
            raise ConfigError(f"a setting is written as name = value, not {line}")
        if name not in types:
            raise ConfigError(f"there is no setting named {key}{hint(name, types)}")
        values[name] = parse(name, types[name], text, key)
    return values


def _names() -> set[str]:
    return {knob.name for knob in fields(Config)}


def strange_variables(environ: Mapping[str, str] | None = None) -> list[str]:
    """A sentence for each variable that looks like a setting and is none: a misspelt one has no effect."""
    return strange(os.environ if environ is None else environ, {*_names(), "config"}, variable)


def _from_file(file: str) -> dict[str, Any]:
    try:
        content = tomllib.loads(Path(file).read_text(encoding="utf-8"))
    except (
        OSError,
        ValueError,
        RecursionError,
    ) as error:  # numbers without end and deep nesting are more than TOML says
        raise ConfigError(f"{file} cannot be read: {error}") from error
    types = get_type_hints(Config)
    values = {}
    for key, value in content.items():
        name = key.replace("-", "_")
        if name not in types:
            raise ConfigError(f"{file}: there is no setting named {key}{hint(name, types)}")
        values[name] = whole_of(types[name], value)
        if type(values[name]) is not types[name]:
            raise ConfigError(f"{file}: {key} must be of type {types[name].__name__}")
    return values


def with_values(config: Config, **values: Any) -> Config:
    return replace(config, **values)
