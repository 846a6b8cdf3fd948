"""`ecrsim doctor`: what is right and wrong with a set-up, each in one sentence that says what to do.

It looks and leaves everything as it was: a data directory that holds no database yet is not made into one.
"""

from __future__ import annotations

import argparse
import ipaddress
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sqlalchemy.exc import DBAPIError

from ecrsim.blobs import BlobStoreError
from ecrsim.config import Config, with_values
from ecrsim.core.admintoken import known_token
from ecrsim.core.db import Database, SchemaMismatch
from ecrsim.core.errors import ServiceError
from ecrsim.core.printable import printable
from ecrsim.core.registry import Registry
from ecrsim.core.runtime import Runtime, is_encrypted
from ecrsim.ecr import load_capabilities
from ecrsim.ecr.images.scrub import report

_GIB = 1 << 30


class CheckResult(NamedTuple):
    """`verdict` is ok, warn or FAIL."""

    verdict: str
    text: str


def diagnose(config: Config) -> list[CheckResult]:
    return [*_ports(config), *_data(config), *_names(config), *_docker(config)]


def doctor(config: Config, _: argparse.Namespace) -> int:
    """The command `ecrsim doctor`; its exit code is 1 when something is wrong."""
    findings = diagnose(config)
    sys.stdout.write("".join(f"{finding.verdict:4}  {printable(finding.text)}\n" for finding in findings))
    return 1 if any(finding.verdict == "FAIL" for finding in findings) else 0


# --- ports ------------------------------------------------------------------------------------------------------------


def _ports(config: Config) -> Iterator[CheckResult]:
    if config.port == 0:
        yield CheckResult("ok", "any free port will be taken")
        return
    host = config.host_to_ask
    answer = _health(f"http://{f'[{host}]' if ':' in host else host}:{config.port}/_ecrsim/health")
    if answer is None:
        yield _bindable(config.host, config.port, "--port")
    else:
        yield answer
        if answer.verdict == "ok":
            yield _admin(config, host)
    if config.wants_tls and answer is None:
        yield _bindable(config.host, config.tls_port, "--tls-port")
    elif config.wants_tls and answer is not None and answer.verdict == "ok":
        yield _https(host, config.tls_port)


def _health(url: str) -> CheckResult | None:
    """The finding about the server that answers there; None when nobody does."""
    port = urlsplit(url).port
    taken = f"port {port} is taken by something that is not ecrsim"
    # No proxy: the answer of somebody else's machine says nothing about this one.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=3) as answer:
            return CheckResult("ok", f"ecrsim {json.load(answer)['version']} answers on port {port}")
    except urllib.error.HTTPError as error:
        return CheckResult("FAIL", f"{taken} (HTTP {error.code}); choose another with --port")
    except (HTTPException, ValueError, KeyError, TypeError):
        return CheckResult("FAIL", f"{taken}; choose another with --port")
    except OSError:
        return None


def _admin(config: Config, host: str) -> CheckResult:
    """Whether commands reach the admin surface with the token that they find."""
    request = urllib.request.Request(f"http://{f'[{host}]' if ':' in host else host}:{config.port}/_ecrsim/clock")
    token = known_token(config)
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=3):
            return CheckResult("ok", f"commands can ask this ecrsim, {'with its' if token else 'without a'} token")
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return CheckResult("ok", "the admin surface is switched off, so commands cannot ask this ecrsim")
        hint = "; set ECRSIM_ADMIN_TOKEN to what `ecrsim token` prints there" if error.code == 401 else ""
        return CheckResult("warn", f"commands cannot ask this ecrsim (HTTP {error.code}){hint}")
    except (OSError, HTTPException) as error:
        return CheckResult("warn", f"commands cannot ask this ecrsim: {error}")


def _bindable(host: str, port: int, option: str) -> CheckResult:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return CheckResult(
                "FAIL", f"{host} port {port} cannot be used: {error.strerror}; choose another with {option}"
            )
    return CheckResult("ok", f"port {port} is free; ecrsim is not running there")


def _https(host: str, port: int) -> CheckResult:
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=3) as plain, context.wrap_socket(plain):
            return CheckResult("ok", f"HTTPS answers on port {port}")
    except OSError:
        return CheckResult("FAIL", f"ecrsim runs without HTTPS on port {port}; start it with --tls")


# --- the data directory -----------------------------------------------------------------------------------------------


def _data(config: Config) -> Iterator[CheckResult]:
    directory = Path(config.data_dir)
    is_there = _is_made(config, directory)
    found = _openable(config, directory) if is_there else _makeable(directory)
    yield found
    if found.verdict == "ok" and is_there:
        yield from _layers(config)
    if found.verdict == "ok" and not config.blob_store.startswith("s3://"):
        free = shutil.disk_usage(_nearest(Path(config.blob_store_in(directory)))).free
        text = f"{free / _GIB:.1f} GiB are free for layers"
        yield CheckResult("ok", text) if free > _GIB else CheckResult("warn", f"only {text}")


def _is_made(config: Config, directory: Path) -> bool:
    """Whether there is a database; one that cannot be asked counts as present, so that opening it says why."""
    try:
        with closing(Database(with_values(config, ephemeral=False).database_url_in(directory))) as database:
            return database.exists()
    except OSError:
        return False
    except (ServiceError, DBAPIError, ImportError, ValueError):
        return True


def _openable(config: Config, directory: Path) -> CheckResult:
    load_capabilities()
    try:
        with closing(Runtime(_as_stored(config))) as runtime:
            runtime.open()
            runtime.blobs.check()
    except (SchemaMismatch, ServiceError, BlobStoreError, OSError, ImportError, ValueError) as error:
        return CheckResult("FAIL", f"data directory {directory}: {error}")
    except DBAPIError as error:
        return CheckResult("FAIL", f"the database of {directory}: {error.orig}")
    return CheckResult("ok", f"data directory {directory} can be read and written")


def _as_stored(config: Config) -> Config:
    """The settings to look at what is stored with: encrypted or not, as it is."""
    config = with_values(config, ephemeral=False, clock="")
    with closing(Database(config.database_url_in(Path(config.data_dir)))) as database:
        return with_values(config, encrypt=is_encrypted(database))


def _layers(config: Config) -> Iterator[CheckResult]:
    """The findings of the scrub."""
    with closing(Runtime(_as_stored(config))) as runtime:
        runtime.open()
        found = report(runtime)
    wrong = found["missing"] + found["damaged"]
    if wrong:
        yield CheckResult(
            "FAIL", f"{wrong} layers are missing or damaged; ecrsim fsck says what it means for which images"
        )
    elif found["checkedAt"]:
        yield CheckResult("ok", f"all layers were read by {found['checkedAt']}, and are sound")


def _makeable(directory: Path) -> CheckResult:
    nearest = _nearest(directory)
    if not nearest.is_dir():
        return CheckResult("FAIL", f"data directory {directory}: {nearest} is a file; choose another with --data-dir")
    if not os.access(nearest, os.W_OK | os.X_OK, effective_ids=os.access in os.supports_effective_ids):
        return CheckResult(
            "FAIL", f"data directory {directory}: {nearest} cannot be written; choose another with --data-dir"
        )
    return CheckResult("ok", f"data directory {directory} has no database yet; the first start makes it")


def _nearest(path: Path) -> Path:
    """The path itself or the first one above it that is there."""
    return next(each for each in (path.absolute(), *path.absolute().parents) if _is_there(each))


def _is_there(path: Path) -> bool:
    """Whether the path exists; a path that may not be looked at counts as absent, as for ecrsim itself."""
    try:
        path.stat()
    except OSError:
        return False
    return True


# --- the registry's name, and what docker makes of it -----------------------------------------------------------------


def _authority(config: Config) -> str:
    """host:port as docker sees it; of the default account and region."""
    port = config.tls_port if config.wants_tls and config.registry_host == "aws" else config.port
    named = {
        "localhost": "localhost",
        "domain": f"{config.account}.dkr.ecr.{config.region}.localhost",
        "aws": Registry(config.account, config.region).host,
    }
    host = named.get(config.registry_host)
    return f"{host}:{port}" if host else config.registry_host


def _host_of(authority: str) -> str:
    return urlsplit(f"//{authority}").hostname or ""


def _addresses(name: str) -> list[str]:
    """The addresses of a name on this machine; none when it does not resolve."""
    try:
        return sorted({str(entry[4][0]) for entry in socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)})
    except OSError:
        return []


def _names(config: Config) -> Iterator[CheckResult]:
    name = _host_of(_authority(config))
    addresses = _addresses(name)
    hint = f"add '127.0.0.1 {name}' to the hosts file, or use --registry-host localhost"
    shown = ", ".join(addresses)
    if not addresses:
        yield CheckResult("FAIL", f"the name {name} does not resolve; {hint}")
    elif any(ipaddress.ip_address(address.partition("%")[0]).is_loopback for address in addresses):
        yield CheckResult("ok", f"the name {name} leads to this machine ({shown})")
    elif config.registry_host == "aws":
        yield CheckResult("FAIL", f"the name {name} leads to {shown}, which is AWS's own registry; {hint}")
    else:
        yield CheckResult("warn", f"the name {name} leads to {shown}, which is not this machine's loopback")


def _docker(config: Config) -> Iterator[CheckResult]:
    if shutil.which("docker") is None:
        yield CheckResult("warn", "there is no docker on this machine; other clients work as well")
        return
    registry = _docker_registry_config()
    authority = _authority(config)
    if registry is None:
        yield CheckResult("warn", "docker does not answer: is its daemon running, and may you use it?")
    elif _is_insecure(registry, authority):
        yield CheckResult("ok", f"docker does not insist on trusted HTTPS for {authority}")
    elif config.wants_tls:
        target = f"/etc/docker/certs.d/{authority}/ca.crt"
        yield CheckResult("warn", f"docker insists on HTTPS for {authority}: ecrsim tls ca | sudo tee {target}")
    else:
        hint = f'add "insecure-registries": ["{authority}"] to its daemon.json, or use --tls'
        yield CheckResult("FAIL", f"docker insists on HTTPS for {authority}; {hint}")


def _docker_registry_config() -> dict[str, Any] | None:
    command = ["docker", "info", "--format", "{{json .RegistryConfig}}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)  # noqa: S603 - no input
        found = json.loads(done.stdout or "null")
    except (OSError, subprocess.TimeoutExpired, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _is_insecure(registry: dict[str, Any], authority: str) -> bool:
    """Whether the daemon takes the host for insecure: by an entry of its name, else by a network of its address."""
    entry = (registry.get("IndexConfigs") or {}).get(authority)
    if entry is not None:
        return not entry.get("Secure", True)
    networks = [ipaddress.ip_network(text, strict=False) for text in registry.get("InsecureRegistryCIDRs") or ()]
    found = [ipaddress.ip_address(text.partition("%")[0]) for text in _addresses(_host_of(authority))]
    return any(address in network for address in found for network in networks)
