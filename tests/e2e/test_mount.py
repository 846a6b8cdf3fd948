"""Mounting a blob of another repository, as the account setting BLOB_MOUNTING allows it or not."""

import pytest
import requests

from tests.e2e import images


@pytest.fixture(scope="module")
def mounting_server(launch):
    server = launch()
    setting = server.client().put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
    assert setting == {**setting, "name": "BLOB_MOUNTING", "value": "ENABLED"}
    return server


def mount(server, source, target, digest):
    return requests.post(
        f"{server.url}/v2/{target}/blobs/uploads/",
        params={"mount": digest, "from": source},
        auth=("AWS", server.password()),
        timeout=30,
    )


def push(server, crane, repository, image, folder):
    server.client().create_repository(repositoryName=repository)
    crane("auth", "login", server.registry, "-u", "AWS", "--password-stdin", stdin=server.password())
    crane("push", str(images.write_layout(folder, image)), f"{server.registry}/{repository}:v1")


def test_a_mount_creates_the_blob_where_it_is_enabled(mounting_server, crane, tmp_path):
    image = images.build_image("mounted")
    push(mounting_server, crane, "mount/source", image, tmp_path / "layout")
    mounting_server.client().create_repository(repositoryName="mount/target")
    digest = images.digest(image.layer)
    created = mount(mounting_server, "mount/source", "mount/target", digest)
    assert created.status_code == 201
    assert created.headers["Location"].endswith(f"/v2/mount/target/blobs/{digest}")
    assert created.headers["Docker-Content-Digest"] == digest
    checked = mounting_server.client().batch_check_layer_availability(
        repositoryName="mount/target", layerDigests=[digest]
    )
    assert [layer["layerAvailability"] for layer in checked["layers"]] == ["AVAILABLE"]


def test_skopeo_copies_between_repositories_by_mounting(mounting_server, skopeo, tmp_path):
    image = images.build_image("copied")
    for name in ("source", "target"):
        mounting_server.client().create_repository(repositoryName=f"copy/{name}")
    skopeo(
        *("login", "--tls-verify=false", "--username", "AWS", "--password-stdin", mounting_server.registry),
        stdin=mounting_server.password(),
    )
    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    names = [f"docker://{mounting_server.registry}/copy/{name}:v1" for name in ("source", "target")]
    # Pushed by skopeo, which mounts only what it remembers to have seen in a repository.
    layout = images.write_layout(tmp_path / "layout", image)
    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:v1", names[0])
    printed = skopeo.attempt("--debug", "copy", *insecure, *names)
    assert printed.status == 0, printed.text
    assert "mount OK" in printed.text
    [detail] = mounting_server.client().describe_images(repositoryName="copy/target")["imageDetails"]
    assert detail["imageDigest"] == image.digest


def test_a_mount_begins_an_upload_where_it_is_disabled(server, crane, create_repository, tmp_path):
    image = images.build_image("not mounted")
    source, target = create_repository("source"), create_repository("target")
    crane("push", str(images.write_layout(tmp_path / "layout", image)), f"{server.registry}/{source}:v1")
    accepted = mount(server, source, target, images.digest(image.layer))
    assert accepted.status_code == 202
    assert f"/v2/{target}/blobs/uploads/" in accepted.headers["Location"]
    crane("copy", f"{server.registry}/{source}:v1", f"{server.registry}/{target}:v1")
    [detail] = server.client().describe_images(repositoryName=target)["imageDetails"]
    assert detail["imageDigest"] == image.digest
