"""One truth: what is done on one plane is seen on the other at once."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from ecrsim.core.durations import DAY, HOUR, SECOND
from ecrsim.testing import call_application
from tests.planes.catalogue import FIXTURES
from tests.planes.conftest import Planes
from tests.planes.pushing import INSTANT, ApiPlane, Refused, client, push
from tests.pushing import digest_of

IMAGE = FIXTURES["oci-image"]
OTHER = FIXTURES["oci-image-arm64"]
INDEX = FIXTURES["docker-list"]
LAYER = b"a layer that crosses over"
DIGEST = digest_of(LAYER)


def tags_by_digest(api: ApiPlane) -> dict[str, list[str]]:
    details = api.client.describe_images(repositoryName="app")["imageDetails"]
    return {detail["imageDigest"]: detail.get("imageTags", []) for detail in details}


def test_a_layer_of_the_api_is_pulled_from_the_registry(planes: Planes):
    api, registry = planes.together()
    api.push_layer("app", LAYER)
    head = registry.call("HEAD", f"/v2/app/blobs/{DIGEST}")
    assert (head.status, head.headers["Content-Length"]) == (200, str(len(LAYER)))
    assert registry.call("GET", f"/v2/app/blobs/{DIGEST}").body == LAYER


def test_a_layer_of_the_registry_is_downloaded_by_the_url_of_the_api(planes: Planes):
    api, registry = planes.together()
    push(registry, "app", IMAGE, "v1")
    for digest, data in IMAGE.layers.items():
        (layer,) = api.client.batch_check_layer_availability(repositoryName="app", layerDigests=[digest])["layers"]
        assert (layer["layerAvailability"], layer["layerSize"]) == ("AVAILABLE", len(data))
        url = api.client.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
        assert call_application(api.sim.app, "GET", url).body == data
        part = call_application(api.sim.app, "GET", url, {"Range": "bytes=1-3"})
        assert (part.status, part.body) == (206, data[1:4])


@pytest.mark.parametrize("hours", [0.9, 1.1])
def test_a_download_url_is_good_for_an_hour(planes: Planes, hours: float):
    api, _ = planes.together()
    push(api, "app", IMAGE, "v1")
    digest, data = next(iter(IMAGE.layers.items()))
    url = api.client.get_download_url_for_layer(repositoryName="app", layerDigest=digest)["downloadUrl"]
    api.sim.advance(hours=hours)
    answer = call_application(api.sim.app, "GET", url)
    assert (answer.status, answer.body == data) == ((200, True) if hours < 1 else (403, False))


def test_a_download_url_is_good_for_its_layer_only(planes: Planes):
    api, _ = planes.together()
    push(api, "app", IMAGE, "v1")
    one, other = list(IMAGE.layers)[:2]
    url = api.client.get_download_url_for_layer(repositoryName="app", layerDigest=one)["downloadUrl"]
    parts = urlsplit(url)
    altered = (
        url.replace(one, other),
        url.replace("expires=", "expires=1"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        f"{parts.scheme}://{parts.netloc}{parts.path}",
    )
    for each in altered:
        assert call_application(api.sim.app, "GET", each).status == 403
    assert call_application(api.sim.app, "POST", url).status == 403


@pytest.mark.parametrize("first_is_api", [True, False], ids=["api first", "registry first"])
def test_an_upload_begun_on_one_plane_is_finished_on_the_other(planes: Planes, first_is_api: bool):
    api, registry = planes.together(quota_layer_part_min=1)
    first, second = (api, registry) if first_is_api else (registry, api)
    upload_id = first.begin("app")
    first.append("app", upload_id, 0, LAYER[:7])
    second.append("app", upload_id, 7, LAYER[7:])
    second.complete("app", upload_id, DIGEST)
    assert first.has_layer("app", DIGEST)
    assert second.has_layer("app", DIGEST)


def test_a_tag_moved_on_the_registry_shows_in_describe_images(planes: Planes):
    api, registry = planes.together()
    push(api, "app", IMAGE, "v1")
    push(api, "app", OTHER)
    registry.push_manifest("app", OTHER.manifest, OTHER.media_type, "v1")
    assert tags_by_digest(api) == {IMAGE.digest: [], OTHER.digest: ["v1"]}
    assert client(api.sim).list_images(repositoryName="app", filter={"tagStatus": "UNTAGGED"})["imageIds"] == [
        {"imageDigest": IMAGE.digest}
    ]


def test_a_tag_moved_by_put_image_is_pulled_from_the_registry(planes: Planes):
    api, registry = planes.together()
    push(registry, "app", IMAGE, "v1")
    push(registry, "app", OTHER, "v2")
    api.push_manifest("app", OTHER.manifest, None, "v1")
    assert registry.pull("app", "v1") == (OTHER.manifest, OTHER.media_type)
    assert registry.call("GET", "/v2/app/tags/list").json() == {"name": "app", "tags": ["v1", "v2"]}


def test_a_delete_of_the_registry_is_a_delete_of_the_api(planes: Planes):
    api, registry = planes.together()
    push(api, "app", IMAGE, "v1")
    api.push_manifest("app", IMAGE.manifest, None, "v2")
    registry.delete("app", "v1")
    assert tags_by_digest(api) == {IMAGE.digest: ["v2"]}
    registry.delete("app", IMAGE.digest)
    assert tags_by_digest(api) == {}
    with pytest.raises(Refused, match="Requested image not found"):
        api.pull("app", "v2")


def test_a_delete_of_the_api_is_a_delete_of_the_registry(planes: Planes):
    api, registry = planes.together()
    push(registry, "app", IMAGE, "v1")
    registry.push_manifest("app", IMAGE.manifest, None, "v2")
    api.delete("app", "v1")
    assert registry.call("GET", "/v2/app/tags/list").json()["tags"] == ["v2"]
    api.delete("app", IMAGE.digest)
    for reference in ("v1", "v2", IMAGE.digest):
        assert registry.call("HEAD", f"/v2/app/manifests/{reference}").status == 404


def test_a_repository_deleted_by_the_api_is_unknown_to_the_registry(planes: Planes):
    api, registry = planes.together()
    push(registry, "app", IMAGE, "v1")
    upload_id = registry.begin("app")
    client(api.sim).delete_repository(repositoryName="app", force=True)
    for path in ("manifests/v1", f"blobs/{DIGEST}", "tags/list", f"blobs/uploads/{upload_id}"):
        assert registry.call("GET", f"/v2/app/{path}").json()["errors"][0]["code"] == "NAME_UNKNOWN"
    client(api.sim).create_repository(repositoryName="app")
    assert not registry.has_layer("app", next(iter(IMAGE.layers)))
    assert registry.call("GET", f"/v2/app/blobs/uploads/{upload_id}").status == 404


def test_referrers_are_the_same_on_both(planes: Planes):
    api, registry = planes.together()
    push(api, "app", IMAGE, "v1")
    for name in ("artifact-with-subject", "signature-with-subject", "index-with-subject"):
        push(registry, "app", FIXTURES[name])
    by_registry = registry.call("GET", f"/v2/app/referrers/{IMAGE.digest}").json()["manifests"]
    by_api = api.client.list_image_referrers(repositoryName="app", subjectId={"imageDigest": IMAGE.digest})["referrers"]
    assert [{key: each.get(key) for key in ("digest", "mediaType", "size", "artifactType")} for each in by_api] == [
        {key: each.get(key) for key in ("digest", "mediaType", "size", "artifactType")} for each in by_registry
    ]
    assert [each.get("annotations", {}) for each in by_api] == [each.get("annotations", {}) for each in by_registry]
    api.delete("app", FIXTURES["index-with-subject"].digest)
    assert len(registry.call("GET", f"/v2/app/referrers/{IMAGE.digest}").json()["manifests"]) == 2


@pytest.mark.parametrize("by_registry", [True, False], ids=["GET", "BatchGetImage"])
def test_a_pull_shows_in_describe_images(planes: Planes, by_registry: bool):
    api, registry = planes.together(token_lifetime=10 * DAY // SECOND)
    push(api, "app", IMAGE, "v1")
    registry.call("HEAD", "/v2/app/manifests/v1")

    def pulled_at() -> float | None:
        (detail,) = api.client.describe_images(repositoryName="app")["imageDetails"]
        moment = detail.get("lastRecordedPullTime")
        return None if moment is None else moment.timestamp() * 1000

    assert pulled_at() is None
    plane = registry if by_registry else api
    api.sim.advance(hours=1)
    plane.pull("app", "v1")
    assert pulled_at() == INSTANT + HOUR
    api.sim.advance(hours=23)
    plane.pull("app", "v1")
    assert pulled_at() == INSTANT + HOUR  # once in 24 hours (documented)
    api.sim.advance(hours=2)
    plane.pull("app", "v1")
    assert pulled_at() == INSTANT + 26 * HOUR


def test_accounts_and_regions_are_apart_on_both(planes: Planes):
    api, registry = planes.together()
    push(registry, "app", IMAGE, "v1")
    for account, region in (("111111111111", "us-east-1"), ("000000000000", "eu-west-1")):
        other = api.sim.client("ecr", account=account, region=region)
        other.create_repository(repositoryName="app")
        assert other.list_images(repositoryName="app")["imageIds"] == []
        token = other.get_authorization_token()["authorizationData"][0]["authorizationToken"]
        headers = {"Authorization": f"Basic {token}"}
        listed = call_application(api.sim.app, "GET", "http://localhost/v2/app/tags/list", headers)
        assert listed.json() == {"name": "app", "tags": []}
        layer = next(iter(IMAGE.layers))
        assert call_application(api.sim.app, "HEAD", f"http://localhost/v2/app/blobs/{layer}", headers).status == 404
