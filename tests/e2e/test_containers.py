"""skopeo, podman and buildah: push, pull, inspect, delete, mount and multi-platform, over plain HTTP."""

import json

from tests.e2e import images

INSECURE = "--tls-verify=false"


def described(server, repository):
    return server.client().describe_images(repositoryName=repository)["imageDetails"]


def test_skopeo_pushes_inspects_lists_pulls_and_deletes(skopeo, server, create_repository, tmp_path):
    name = create_repository()
    reference = f"docker://{server.registry}/{name}"
    image = images.build_image("by skopeo")
    layout = images.write_layout(tmp_path / "layout", image)

    skopeo("copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"{reference}:v1")
    [detail] = described(server, name)
    assert (detail["imageDigest"], detail["imageTags"]) == (image.digest, ["v1"])
    assert detail["imageManifestMediaType"] == images.MANIFEST

    inspected = json.loads(skopeo("inspect", INSECURE, f"{reference}:v1"))
    assert inspected["Digest"] == image.digest
    assert inspected["RepoTags"] == ["v1"]
    assert json.loads(skopeo("list-tags", INSECURE, reference))["Tags"] == ["v1"]

    skopeo("copy", "--src-tls-verify=false", f"{reference}:v1", f"oci:{tmp_path}/back:v1")
    pulled = tmp_path / "back" / "blobs" / "sha256" / image.digest.removeprefix("sha256:")
    assert pulled.read_bytes() == image.manifest

    skopeo("delete", INSECURE, f"{reference}:v1")
    assert described(server, name) == []
    assert "manifest unknown" in skopeo.refuses("inspect", INSECURE, f"{reference}:v1")


def test_skopeo_converts_to_docker_schema_2(skopeo, server, create_repository, tmp_path):
    name = create_repository()
    layout = images.write_layout(tmp_path / "layout", images.build_image("converted"))
    target = f"docker://{server.registry}/{name}:v1"
    skopeo("copy", "--dest-tls-verify=false", "--format", "v2s2", f"oci:{layout}:v1", target)
    [detail] = described(server, name)
    assert detail["imageManifestMediaType"] == images.DOCKER_MANIFEST


def test_podman_pushes_and_pulls(podman, server, create_repository, tmp_path):
    name = create_repository()
    uri = f"{server.registry}/{name}"
    image = images.build_image("by podman")
    layout = images.write_layout(tmp_path / "layout", image)
    image_id = podman("pull", "--quiet", f"oci:{layout}:v1").strip()
    podman("tag", image_id, f"{uri}:v1")
    podman("push", INSECURE, f"{uri}:v1")
    [detail] = described(server, name)
    assert detail["imageTags"] == ["v1"]

    podman("image", "rm", "--force", image_id)
    podman("pull", INSECURE, f"{uri}:v1")
    [inspected] = json.loads(podman("image", "inspect", f"{uri}:v1"))
    assert inspected["Digest"] == detail["imageDigest"]
    assert inspected["Id"] == image_id


def test_podman_is_told_that_an_image_is_missing(podman, server, create_repository):
    uri = f"{server.registry}/{create_repository()}"
    assert "manifest unknown: Requested image not found" in podman.refuses("pull", INSECURE, f"{uri}:absent")


def scratch_image(buildah, tmp_path, text, architecture):
    message = tmp_path / f"message-{architecture}"
    message.write_text(text)
    container = buildah("from", "--arch", architecture, "scratch").strip()
    buildah("config", "--arch", architecture, "--os", "linux", container)
    buildah("copy", container, str(message), "/message")
    return buildah("commit", "--quiet", container, f"localhost/{architecture}").strip()


def test_buildah_builds_pushes_and_pulls(buildah, server, create_repository, tmp_path):
    name = create_repository()
    uri = f"{server.registry}/{name}"
    image_id = scratch_image(buildah, tmp_path, "by buildah", "amd64")
    buildah("push", INSECURE, image_id, f"docker://{uri}:v1")
    [detail] = described(server, name)
    assert detail["imageTags"] == ["v1"]

    buildah("rmi", "--force", image_id)
    assert buildah("pull", "--quiet", INSECURE, f"docker://{uri}:v1").strip() == image_id


def test_buildah_pushes_a_multi_platform_index(buildah, skopeo, server, create_repository, tmp_path):
    name = create_repository()
    target = f"docker://{server.registry}/{name}:multi"
    buildah("manifest", "create", "multi")
    for architecture in ("amd64", "arm64"):
        image_id = scratch_image(buildah, tmp_path, f"for {architecture}", architecture)
        buildah("manifest", "add", "--arch", architecture, "multi", image_id)
    buildah("manifest", "push", "--all", INSECURE, "multi", target)

    details = described(server, name)
    [index] = [detail for detail in details if detail.get("imageTags") == ["multi"]]
    children = {detail["imageDigest"] for detail in details if detail is not index}
    assert index["imageManifestMediaType"] in {images.INDEX, images.DOCKER_LIST}
    raw = json.loads(skopeo("inspect", "--raw", INSECURE, target))
    assert {child["digest"] for child in raw["manifests"]} == children
    assert {child["platform"]["architecture"] for child in raw["manifests"]} == {"amd64", "arm64"}


def test_skopeo_copies_every_platform_between_repositories(skopeo, crane, server, create_repository, tmp_path):
    source, target = create_repository("source"), create_repository("target")
    for architecture in ("amd64", "arm64"):
        layout = images.write_layout(tmp_path / architecture, images.build_image("both", architecture))
        skopeo(
            "copy", "--dest-tls-verify=false", f"oci:{layout}:v1", f"docker://{server.registry}/{source}:{architecture}"
        )
    manifests = [f"--manifest={server.registry}/{source}:{architecture}" for architecture in ("amd64", "arm64")]
    crane("index", "append", *manifests, f"--tag={server.registry}/{source}:multi")

    insecure = ("--src-tls-verify=false", "--dest-tls-verify=false")
    names = (f"docker://{server.registry}/{repository}:multi" for repository in (source, target))
    skopeo("copy", "--all", *insecure, *names)
    # The index itself is written anew: this skopeo drops members that are younger than it from its descriptors.
    kinds = [
        {detail["imageDigest"]: detail["imageManifestMediaType"] for detail in described(server, repository)}
        for repository in (source, target)
    ]
    children = [{digest for digest, kind in found.items() if kind == images.MANIFEST} for found in kinds]
    assert children[0] == children[1]
    assert sorted(kinds[1].values()) == [images.INDEX, images.MANIFEST, images.MANIFEST]
    raw = json.loads(skopeo("inspect", "--raw", INSECURE, f"docker://{server.registry}/{target}:multi"))
    assert {child["digest"] for child in raw["manifests"]} == children[1]
