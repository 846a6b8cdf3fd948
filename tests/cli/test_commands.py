"""help, version, env, gc, coverage and tls ca. `serve` has its tests in tests/e2e."""

import shlex
import sqlite3
import ssl
from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from ecrsim import Ecrsim, __version__
from ecrsim.contract.models import service
from ecrsim.testing import build_image, call_application


def test_the_help_names_every_command(run):
    shown = run("--help")
    names = set(shown.out.partition("{")[2].partition("}")[0].split(","))
    assert shown.status == 0
    assert {"serve", "env", "doctor", "gc", "explain", "policy", "advance", "clock", "reset", "events", "tls"} <= names


@pytest.mark.parametrize(
    "command",
    [
        "serve",
        "env",
        "doctor",
        "gc",
        "coverage",
        "explain",
        "policy",
        "policy minimal",
        "tls",
        "tls ca",
        "advance",
        "clock",
        "clock freeze",
        "completion",
        "wait",
        "reset",
        "events",
        "public",
        "public alias",
        "public mirror",
    ],
)
def test_every_command_has_help(command, run):
    shown = run(*command.split(), "--help")
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith(f"usage: ecrsim {command} ")


def test_the_help_tells_defaults(run):
    assert "(default: 5100)" in run("serve", "--help").out


def test_the_version_is_that_of_the_package(run):
    assert run("--version") == (0, f"ecrsim {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "required"),
        (("fly",), "invalid choice: 'fly'"),
        (("serve", "--port", "http"), "--port: invalid int value"),
        (("serve", "--dat", "/x"), "unrecognized arguments: --dat"),
        (("serve", "--auth", "none"), "--auth: invalid choice"),
        (("serve", "--account", "123"), "account must be 12 digits"),
        (("serve", "--config", "/nowhere.toml"), "/nowhere.toml cannot be read"),
        (("env", "--workers", "2"), "unrecognized arguments: --workers"),
        (("gc", "--grace", "-1"), "--grace: -1 is not a time such as 14d"),
        (("tls",), "required"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_wrong_command_line_exits_with_2_and_says_what_is_wrong(arguments, words, run):
    refused = run(*arguments)
    assert (refused.status, refused.out) == (2, "")
    assert words in refused.err


def exports(text):
    words = [shlex.split(line) for line in text.splitlines()]
    assert {first for first, _ in words} == {"export"}
    return dict(assignment.split("=", 1) for _, assignment in words)


def test_env_prints_what_a_shell_needs(run):
    assert exports(run("env").out) == {
        "AWS_ENDPOINT_URL_ECR": "http://localhost:5100",
        "AWS_ENDPOINT_URL_ECR_PUBLIC": "http://localhost:5100",
        "AWS_ENDPOINT_URL_STS": "http://localhost:5100",
        "AWS_ENDPOINT_URL_SIGNER": "http://localhost:5100",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "000000000000",
        "AWS_SECRET_ACCESS_KEY": "ecrsim",
    }


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://localhost:5100"),  # noqa: S104
        ("::", "http://localhost:5100"),
        ("192.0.2.7", "http://192.0.2.7:5100"),
        ("2001:db8::7", "http://[2001:db8::7]:5100"),
        ("::1", "http://[::1]:5100"),
    ],
)
def test_env_names_the_address_that_is_listened_on(host, url, run):
    assert exports(run("env", "--host", host).out)["AWS_ENDPOINT_URL_ECR"] == url


def test_env_takes_options_variables_and_the_file(run, monkeypatch, tmp_path):
    file = tmp_path / "settings.toml"
    file.write_text('port = 6000\nregion = "eu-west-1"\naccount = "111111111111"\nworkers = 4\n')
    monkeypatch.setenv("ECRSIM_REGION", "ap-south-1")
    printed = exports(run("env", "--config", str(file), "--account", "222222222222").out)
    assert printed["AWS_ENDPOINT_URL_ECR"] == "http://localhost:6000"
    assert printed["AWS_REGION"] == printed["AWS_DEFAULT_REGION"] == "ap-south-1"
    assert printed["AWS_ACCESS_KEY_ID"] == "222222222222"


def test_env_cannot_know_a_port_that_is_any_free_one(run):
    refused = run("env", "--port", "0")
    assert (refused.status, refused.out) == (1, "")
    assert "ready line" in refused.err


# --- gc ---------------------------------------------------------------------------------------------------------------


def push(ecr, image, tag):
    for digest, content in image.blobs.items():
        upload_layer(ecr, content, digest)
    ecr.put_image(repositoryName="app", imageManifest=image.manifest.decode(), imageTag=tag)


def upload_layer(ecr, content, digest=None):
    """A layer; an upload that is never completed when no digest is given."""
    place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
    ecr.upload_layer_part(partFirstByte=0, partLastByte=len(content) - 1, layerPartBlob=content, **place)
    if digest:
        ecr.complete_layer_upload(layerDigests=[digest], **place)


@pytest.fixture
def data(tmp_path):
    """A data directory with an image that is in use, one that was deleted, and an upload that nobody completed."""
    directory = tmp_path / "data"
    with Ecrsim(socket=False, data_dir=str(directory)) as sim:
        ecr = sim.client()
        ecr.create_repository(repositoryName="app")
        push(ecr, build_image(b"kept", config=b"{}"), "kept")
        push(ecr, build_image(b"deleted layer", config=b"{ }"), "deleted")
        ecr.batch_delete_image(repositoryName="app", imageIds=[{"imageTag": "deleted"}])
        upload_layer(ecr, b"unfinished")
    return directory


def blobs(data):
    return sorted(path.read_bytes() for path in (data / "blobs").rglob("*") if path.is_file())


def test_gc_leaves_what_was_needed_lately(run, data):
    before = blobs(data)
    done = run("gc", "--data-dir", str(data))
    assert done == (0, "collected 0 layers of repositories, 0 blobs (0 bytes) and 0 unfinished uploads\n", "")
    assert blobs(data) == before


def test_gc_without_grace_takes_what_no_image_needs(run, data):
    assert blobs(data) == [b"deleted layer", b"kept", b"{ }", b"{}"]
    done = run("gc", "--data-dir", str(data), "--grace", "0")
    size = len(b"deleted layer") + len(b"{ }")
    assert done.out == f"collected 2 layers of repositories, 2 blobs ({size} bytes) and 0 unfinished uploads\n"
    assert blobs(data) == [b"kept", b"{}"]
    with Ecrsim(socket=False, data_dir=str(data)) as sim:
        ecr = sim.client()
        [image] = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "kept"}])["images"]
        layer = list(build_image(b"kept", config=b"{}").blobs)[1]
        url = ecr.get_download_url_for_layer(repositoryName="app", layerDigest=layer)["downloadUrl"]
        assert call_application(sim.app, "GET", url).body == b"kept"
        assert image["imageId"]["imageTag"] == "kept"


def test_gc_takes_uploads_that_expired(run, tmp_path):
    with Ecrsim(socket=False, data_dir=str(tmp_path), upload_lifetime=0) as sim:
        sim.client().create_repository(repositoryName="app")
        sim.client().initiate_layer_upload(repositoryName="app")
    assert "and 1 unfinished uploads" in run("gc", "--data-dir", str(tmp_path)).out
    assert list((tmp_path / "uploads").iterdir()) == []


def test_gc_takes_its_grace_from_the_settings(run, data, monkeypatch):
    monkeypatch.setenv("ECRSIM_GC_GRACE", "0")
    monkeypatch.setenv("ECRSIM_DATA_DIR", str(data))
    assert "2 blobs" in run("gc").out


def test_gc_does_not_make_a_data_directory(run, tmp_path):
    (tmp_path / "empty").mkdir()
    refused = run("gc", "--data-dir", str(tmp_path / "empty"))
    assert (refused.status, refused.out) == (1, "")
    assert f"there is no database {tmp_path}/empty/ecrsim.db" in refused.err
    assert list((tmp_path / "empty").iterdir()) == []


def test_gc_refuses_a_database_of_another_version(run, data):
    with closing(sqlite3.connect(data / "ecrsim.db")) as database, database:
        database.execute("UPDATE properties SET value = '999' WHERE name = 'schema_version'")
    database.close()
    refused = run("gc", "--data-dir", str(data))
    assert refused.status == 1
    assert "schema version 999" in refused.err


def test_gc_refuses_a_file_that_is_no_database(run, data):
    (data / "ecrsim.db").write_bytes(b"a text, and a long one: " * 100)
    refused = run("gc", "--data-dir", str(data))
    assert refused.status == 1
    assert "file is not a database" in refused.err


# --- coverage, tls ca -------------------------------------------------------------------------------------------------


def test_coverage_lists_every_operation_of_both_models(run):
    *lines, totals = run("coverage").out.splitlines()
    listed = {tuple(line.split(maxsplit=2)) for line in lines}
    assert {entry[:2] for entry in listed} == {
        (name, operation) for name in ("ecr", "ecr-public") for operation in service(name).operations
    }
    assert ("ecr", "PutImage", "yes") in listed
    built = {name: sum(entry[0] == name and entry[2] == "yes" for entry in listed) for name in ("ecr", "ecr-public")}
    assert (
        totals
        == f"ecr: {built['ecr']} of 62 operations built; ecr-public: {built['ecr-public']} of 23 operations built"
    )


def test_coverage_as_markdown_is_a_table_for_each_service(run):
    shown = run("coverage", "--markdown").out
    assert shown.startswith("## Amazon ECR (`ecr`): ")
    assert "\n## Amazon ECR Public (`ecr-public`): " in shown
    assert "| PutImage | yes |" in shown
    assert len([line for line in shown.splitlines() if line.endswith((" yes |", " not yet |"))]) == 85


def test_tls_ca_prints_an_authority_and_prints_the_same_one_again(run, tmp_path):
    first = run("tls", "ca", "--data-dir", str(tmp_path / "data"))
    assert first.status == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=first.out)
    [authority] = context.get_ca_certs()
    assert authority["subject"] == ((("commonName", "ecrsim local authority"),),)
    assert run("tls", "ca", "--data-dir", str(tmp_path / "data")) == first
    assert (tmp_path / "data" / "tls" / "ca-key.pem").stat().st_mode & 0o077 == 0


def test_tls_ca_says_that_its_key_is_of_another_kind(run, tmp_path):
    assert run("tls", "ca", "--data-dir", str(tmp_path)).status == 0
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "tls" / "ca-key.pem").write_bytes(encrypted)
    refused = run("tls", "ca", "--data-dir", str(tmp_path))
    assert (refused.status, refused.out) == (1, "")
    assert "ca-key.pem is not a key that ecrsim made" in refused.err


def test_tls_ca_says_why_there_is_none(run, tmp_path):
    (tmp_path / "file").write_text("")
    refused = run("tls", "ca", "--data-dir", str(tmp_path / "file"))
    assert (refused.status, refused.out) == (1, "")
    assert f"the authority in {tmp_path}/file cannot be used" in refused.err
