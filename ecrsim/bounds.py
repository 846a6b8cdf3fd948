"""What the values of settings may be."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ecrsim.values import Texts, is_account, is_clock, require

#: `registry.test`, `registry.test:8080`, `[::1]:5100`, and the words of the setting `registry_host`.
_AUTHORITY = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_ORIGIN = re.compile(rf"\*|https?://{_AUTHORITY.pattern}")
#: `registry-1.docker.io=http://127.0.0.1:5001`: a host, perhaps with a port, and the URL below which `/v2/` is.
_UPSTREAM = re.compile(rf"{_AUTHORITY.pattern}=https?://{_AUTHORITY.pattern}(?:/[A-Za-z0-9._~/-]*)?")
#: As `blobs/s3.py` reads it.
_BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/(?!/)[A-Za-z0-9!_.*'()/-]*)?")
#: Settings that are seconds end so; the most of them is a century, beyond which no clock can show their end.
_SPANS = ("_interval", "_delay", "_lifetime", "_grace")
_LONGEST = 100 * 366 * 24 * 3600
#: The most of any other number.
_MOST = 1 << 50
#: The types of settings, by the names that annotations have for them.
_TYPES: Mapping[Any, type] = {"bool": bool, "int": int, "str": str, "Texts": Texts}
#: Settings of which there is no none.
_ONE_AT_LEAST = (
    *(
        "workers",
        "threads",
        "remote_threads",
        "connections",
        "header_timeout",
        "body_grace",
        "body_rate",
        "write_timeout",
    ),
    *("lifecycle_interval", "rescan_interval"),
)


def check(config: Any) -> None:
    """ConfigError for the first setting of `Config` that cannot be."""
    for knob in fields(config):
        kind = _TYPES[knob.type]
        # A bool is an int for Python, and not for who sets a port.
        require(type(getattr(config, knob.name)) is kind, knob.name, f"of type {kind.__name__}")
    require(is_account(config.account), "account", "12 digits")
    require(re.fullmatch(r"[a-z]{2,}(-[a-z0-9]+)+", config.region), "region", "a region's name, such as us-east-1")
    for name in ("port", "tls_port"):
        require(0 <= getattr(config, name) <= 65535, name, "a port number, 0 to 65535")
    for name in _ONE_AT_LEAST:
        require(getattr(config, name) >= 1, name, "1 or more")
    require(is_clock(config.clock), "clock", "real, frozen or frozen@TIME, such as frozen@2026-01-31T12:00:00Z")
    _check_places(config)
    _check_names(config)
    for knob in fields(config):
        value, choices = getattr(config, knob.name), knob.metadata["choices"]
        require(not choices or value in choices, knob.name, " or ".join(choices))
        if type(value) is int:
            require(value >= 0, knob.name, "0 or more")
            most = _LONGEST if knob.name.endswith(_SPANS) else _MOST
            require(value <= most, knob.name, f"{most} or less")


def _check_places(config: Any) -> None:
    require(bool(config.tls_cert) == bool(config.tls_key), "tls_cert", "given together with tls_key")
    require(
        not config.database_url or re.fullmatch(r"sqlite:///[^:?].*|postgresql://.*", config.database_url),
        "database_url",
        "sqlite:///PATH or postgresql://USER@HOST/DATABASE",
    )
    require(config.host, "host", "an address or a name of this machine")
    _check_store(config)
    require(
        not config.encrypt or "://" not in config.blob_store,
        "encrypt",
        "used with a directory as blob_store: a bucket encrypts by itself (blob-s3-sse)",
    )
    require(
        not config.encrypt or config.scanner == "own",
        "encrypt",
        "used with ecrsim's own scanner: another one would have to be given layers in the clear",
    )


def _check_store(config: Any) -> None:
    is_bucket = _BUCKET.fullmatch(config.blob_store)
    require("://" not in config.blob_store or is_bucket, "blob_store", "a directory or s3://BUCKET/PREFIX")
    has_key = bool(config.s3_aws_access_key_id)
    require(
        has_key == bool(config.s3_aws_secret_access_key),
        "s3_aws_access_key_id",
        "given together with s3-aws-secret-access-key",
    )
    # Nothing is looked for elsewhere: AWS_ACCESS_KEY_ID and its like are a test's as a rule.
    require(
        not is_bucket or has_key != bool(config.s3_aws_profile),
        "s3_aws_access_key_id",
        "given for a bucket (ECRSIM_S3_AWS_ACCESS_KEY_ID), or s3-aws-profile instead; AWS's own variables are not read",
    )
    require(
        not config.blob_s3_kms_key or config.blob_s3_sse.startswith("aws:kms"),
        "blob_s3_kms_key",
        "given with --blob-s3-sse aws:kms",
    )
    for name in ("s3_aws_endpoint_url", "blob_s3_public_url"):
        url = getattr(config, name)
        require(not url or re.fullmatch(rf"https?://{_AUTHORITY.pattern}/?", url), name, "a URL without a path")


def _check_names(config: Any) -> None:
    require(
        _AUTHORITY.fullmatch(config.registry_host),
        "registry_host",
        "localhost, domain, aws or a host[:port], without a scheme or a path",
    )
    require(
        all(_ORIGIN.fullmatch(each.strip()) for each in config.cors_origins.split(",") if each.strip()),
        "cors_origins",
        "origins such as http://localhost:3000, with commas between them, or *",
    )
    for name in ("secretsmanager_endpoint", "kms_endpoint"):
        endpoint = getattr(config, name)
        require(not endpoint or re.match(r"https?://[^/]", endpoint), name, "a URL")
    for name, word in (("upstream", "NAME"), ("region_endpoint", "REGION")):
        for entry in getattr(config, name):
            require(_UPSTREAM.fullmatch(entry), name, f"{word}=URL with the URL of a registry, not {entry}")
