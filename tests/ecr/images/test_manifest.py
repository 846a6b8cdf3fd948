"""Reading a manifest: what is accepted, what is refused, and what is made of it."""

import json

import pytest

from ecrsim.core.errors import InvalidParameterException
from ecrsim.ecr.images.manifest import Manifest, read
from ecrsim.testing import build_image
from tests.pushing import (
    DOCKER_CONFIG,
    DOCKER_LAYER,
    DOCKER_LIST,
    DOCKER_MANIFEST,
    EMPTY,
    OCI_CONFIG,
    OCI_INDEX,
    OCI_LAYER,
    OCI_MANIFEST,
    digest_of,
)

ONE, TWO, THREE = (digest_of(data) for data in (b"1", b"2", b"3"))
SHA512 = "sha512:" + "a" * 128
CONFIG = {"mediaType": OCI_CONFIG, "digest": ONE, "size": 10}
LAYER = {"mediaType": OCI_LAYER, "digest": TWO, "size": 300}
IMAGE = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIG, "layers": [LAYER]}
INDEX = {
    "schemaVersion": 2,
    "mediaType": OCI_INDEX,
    "manifests": [{"mediaType": OCI_MANIFEST, "digest": ONE, "size": 5}],
}


def of(document, media_type=None, **options) -> Manifest:
    return read(json.dumps(document).encode(), media_type, **options)


def assert_refused(content, media_type=None, **options):
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    with pytest.raises(InvalidParameterException) as caught:
        read(content, media_type, **options)
    # Recorded: one sentence for broken JSON, a missing media type, and a type or form that ECR does not take.
    assert caught.value.message == (
        "Invalid parameter at 'ImageManifest' failed to satisfy constraint: 'Invalid JSON syntax'"
    )


class TestWhatItSays:
    def test_an_image(self):
        assert of(IMAGE) == Manifest(
            media_type=OCI_MANIFEST,
            is_index=False,
            blobs=((ONE, 10, OCI_CONFIG), (TWO, 300, OCI_LAYER)),
            required_layers=(ONE, TWO),
            references=(),
            other_references={},
            subject=None,
            artifact_type=OCI_CONFIG,
            artifact_media_type=OCI_CONFIG,
            annotations=None,
            size=310,
            has_layers=True,
        )

    def test_an_image_of_docker(self):
        manifest = of(
            {
                **IMAGE,
                "mediaType": DOCKER_MANIFEST,
                "config": {**CONFIG, "mediaType": DOCKER_CONFIG},
                "layers": [{**LAYER, "mediaType": DOCKER_LAYER}],
            }
        )
        assert (manifest.media_type, manifest.artifact_media_type) == (DOCKER_MANIFEST, DOCKER_CONFIG)

    @pytest.mark.parametrize("media_type", [OCI_INDEX, DOCKER_LIST])
    def test_an_index(self, media_type):
        assert of({**INDEX, "mediaType": media_type}) == Manifest(
            media_type=media_type,
            is_index=True,
            blobs=(),
            required_layers=(),
            references=(ONE,),
            other_references={},
            subject=None,
            artifact_type=None,
            artifact_media_type=None,
            annotations=None,
            size=0,
            has_layers=True,
        )

    def test_an_empty_index(self):
        assert of({**INDEX, "manifests": []}).references == ()

    def test_an_index_names_an_image_once_however_often_it_lists_it(self):
        entry = INDEX["manifests"][0]
        assert of({**INDEX, "manifests": [entry, {**entry, "digest": TWO}, entry]}).references == (ONE, TWO)

    def test_an_artifact(self):
        manifest = of(
            {**IMAGE, "artifactType": "application/x", "subject": {"digest": THREE}, "annotations": {"a": "b"}}
        )
        assert (manifest.artifact_type, manifest.artifact_media_type) == ("application/x", "application/x")
        assert (manifest.subject, manifest.annotations) == (THREE, {"a": "b"})

    def test_an_index_can_be_an_artifact(self):
        manifest = of({**INDEX, "artifactType": "application/x", "subject": {"digest": THREE}})
        assert (manifest.artifact_type, manifest.subject) == ("application/x", THREE)

    def test_the_type_of_the_config_is_the_artifact_s_where_there_is_no_other(self):
        assert of(
            {**IMAGE, "config": {**CONFIG, "mediaType": "application/vnd.cncf.helm.config.v1+json"}}
        ).artifact_type == ("application/vnd.cncf.helm.config.v1+json")

    def test_a_config_without_a_type_gives_none(self):
        manifest = of({**IMAGE, "config": {"digest": ONE, "size": 10}})
        assert (manifest.artifact_type, manifest.artifact_media_type) == (None, None)

    def test_sizes_are_added_as_they_are_listed(self):
        assert of({**IMAGE, "layers": [LAYER, LAYER, {**LAYER, "digest": THREE, "size": 0}]}).size == 610

    def test_a_layer_that_is_listed_twice_is_needed_once(self):
        assert of({**IMAGE, "layers": [LAYER, LAYER]}).required_layers == (ONE, TWO)

    @pytest.mark.parametrize(
        "members",
        [
            {"urls": ["https://example.com/layer"]},
            {"mediaType": "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"},
            {"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"},
        ],
    )
    def test_a_layer_that_lies_elsewhere_is_counted_and_not_needed(self, members):
        manifest = of({**IMAGE, "layers": [LAYER, {"mediaType": OCI_LAYER, "digest": THREE, "size": 7, **members}]})
        assert (manifest.required_layers, manifest.size, len(manifest.blobs)) == ((ONE, TWO), 317, 3)

    @pytest.mark.parametrize("layers", [[], None])
    def test_that_there_are_no_layers_is_said_and_not_judged(self, layers):
        assert not of({**IMAGE, "layers": layers}).has_layers

    def test_layers_may_be_absent(self):
        assert not of({name: value for name, value in IMAGE.items() if name != "layers"}).has_layers

    def test_members_that_nobody_knows_are_nobody_s_business(self):
        assert of({**IMAGE, "x": [1, {"y": None}]}) == of(IMAGE)

    def test_sha512(self):
        assert of({**IMAGE, "layers": [{**LAYER, "digest": SHA512}]}).required_layers == (ONE, SHA512)

    def test_the_empty_config_of_an_artifact(self):
        image = build_image(b"{}", config=b"{}", config_media_type=EMPTY, layer_media_type=EMPTY)
        manifest = read(image.manifest, None)
        assert (manifest.artifact_type, manifest.required_layers) == (EMPTY, (digest_of(b"{}"),))


class TestMediaType:
    @pytest.mark.parametrize("media_type", [OCI_MANIFEST, DOCKER_MANIFEST])
    def test_it_may_be_told_beside_a_body_that_does_not_say(self, media_type):
        bare = {name: value for name, value in IMAGE.items() if name != "mediaType"}
        assert of(bare, media_type).media_type == media_type

    def test_it_may_be_told_twice(self):
        assert of(IMAGE, OCI_MANIFEST).media_type == OCI_MANIFEST

    def test_told_and_said_must_agree(self):
        assert_refused(IMAGE, DOCKER_MANIFEST)
        assert_refused(INDEX, OCI_MANIFEST)

    @pytest.mark.parametrize("media_type", [None, "", "text/html", "application/vnd.oci.image.layer.v1.tar"])
    def test_it_must_be_known(self, media_type):
        assert_refused({name: value for name, value in IMAGE.items() if name != "mediaType"}, media_type)

    @pytest.mark.parametrize(
        "media_type",
        [
            "application/vnd.docker.distribution.manifest.v1+json",
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
            "application/vnd.oci.artifact.manifest.v1+json",
            "application/vnd.OCI.image.manifest.v1+json",
            "application/json",
        ],
    )
    def test_others_are_refused_wherever_they_stand(self, media_type):
        assert_refused({**IMAGE, "mediaType": media_type})
        assert_refused({name: value for name, value in IMAGE.items() if name != "mediaType"}, media_type)

    def test_docker_s_schema_1_is_refused(self):
        assert_refused({"schemaVersion": 1, "name": "app", "tag": "v1", "fsLayers": [], "history": []})

    @pytest.mark.parametrize("media_type", ["application/json", "application/octet-stream", "text/plain"])
    def test_a_type_that_says_nothing_leaves_it_to_the_body(self, media_type):
        assert of(IMAGE, media_type).media_type == OCI_MANIFEST

    def test_parameters_of_a_type_do_not_matter(self):
        assert of(IMAGE, f"{OCI_MANIFEST}; charset=utf-8").media_type == OCI_MANIFEST


def without(member, document=IMAGE):
    return {name: value for name, value in document.items() if name != member}


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"{", id="cut JSON"),
        pytest.param(b"\xff\xfe", id="not UTF-8"),
        pytest.param(b"\xef\xbb\xbf" + json.dumps(IMAGE).encode(), id="a byte order mark"),
        pytest.param(json.dumps(IMAGE).encode() + b"x", id="something after the JSON"),
        pytest.param(json.dumps(IMAGE).encode().replace(b"300", b"NaN"), id="not a number"),
        pytest.param(b'{"a":' * 100_000, id="no end of nesting"),
        pytest.param([IMAGE], id="a list"),
        pytest.param("text", id="a text"),
        pytest.param(None, id="null"),
        pytest.param({}, id="an empty object"),
        pytest.param({**IMAGE, "mediaType": 5}, id="a media type that is no text"),
        pytest.param({**IMAGE, "schemaVersion": 1}, id="schema version 1"),
        pytest.param({**IMAGE, "schemaVersion": "2"}, id="a schema version that is a text"),
        pytest.param(without("config"), id="no config"),
        pytest.param({**IMAGE, "config": []}, id="a config that is a list"),
        pytest.param({**IMAGE, "config": {"size": 5}}, id="a config without a digest"),
        pytest.param({**IMAGE, "config": {**CONFIG, "digest": "sha256:abc"}}, id="a short digest"),
        pytest.param({**IMAGE, "config": {**CONFIG, "digest": ONE.upper()}}, id="a digest in capitals"),
        pytest.param({**IMAGE, "config": {**CONFIG, "digest": "md5:" + "a" * 32}}, id="an unknown algorithm"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": "10"}}, id="a size that is a text"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": 1.5}}, id="a size that is a fraction"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": True}}, id="a size that is a truth value"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": -1}}, id="a negative size"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": 2**63}}, id="a size beyond 63 bits"),
        pytest.param({**IMAGE, "config": {**CONFIG, "size": 10**30}}, id="a size beyond all measure"),
        pytest.param({**IMAGE, "config": {**CONFIG, "mediaType": {}}}, id="a config's type that is no text"),
        pytest.param({**IMAGE, "layers": {"0": LAYER}}, id="layers that are no list"),
        pytest.param({**IMAGE, "layers": [None]}, id="a layer that is null"),
        pytest.param({**IMAGE, "layers": [TWO]}, id="a layer that is a digest alone"),
        pytest.param({**IMAGE, "layers": [{"size": 3}]}, id="a layer without a digest"),
        pytest.param({**IMAGE, "layers": [{**LAYER, "size": 2**62}] * 3}, id="sizes that add up beyond 63 bits"),
        pytest.param({**IMAGE, "subject": ONE}, id="a subject that is a digest alone"),
        pytest.param({**IMAGE, "subject": {}}, id="a subject without a digest"),
        pytest.param({**IMAGE, "subject": {"digest": "v1"}}, id="a subject that is a tag"),
        pytest.param({**IMAGE, "artifactType": ["a"]}, id="an artifact type that is no text"),
        pytest.param({**IMAGE, "annotations": ["a"]}, id="annotations that are a list"),
        pytest.param({**IMAGE, "annotations": {"a": 1}}, id="an annotation that is a number"),
        pytest.param({**IMAGE, "annotations": {"a": None}}, id="an annotation that is null"),
        pytest.param(without("manifests", INDEX), id="an index without a list"),
        pytest.param({**INDEX, "manifests": {}}, id="an index whose list is none"),
        pytest.param({**INDEX, "manifests": [{"mediaType": OCI_MANIFEST}]}, id="an entry without a digest"),
        pytest.param({**INDEX, "manifests": [None]}, id="an entry that is null"),
        pytest.param({**INDEX, "manifests": [[]]}, id="an entry that is a list"),
    ],
)
def test_what_is_refused(content):
    assert_refused(content)


def test_the_greatest_size_that_a_column_holds_is_accepted():
    assert of({**IMAGE, "config": {**CONFIG, "size": 2**63 - 1}, "layers": []}).size == 2**63 - 1


def test_what_an_index_lists_that_is_no_image_is_told_apart():
    layer = {"mediaType": OCI_LAYER, "digest": TWO, "size": 5}
    untyped = {"digest": THREE, "size": 5}
    listed = of({**INDEX, "manifests": [INDEX["manifests"][0], layer, untyped]})
    assert (listed.references, listed.other_references) == ((ONE, TWO, THREE), {TWO: OCI_LAYER})
