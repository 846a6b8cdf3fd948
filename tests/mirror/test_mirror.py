"""`ecrsim public mirror`: a repository of another registry comes into a public one, as often as it takes."""

import pytest

from ecrsim import Ecrsim
from ecrsim.cli import main
from ecrsim.core.upstream import pushing
from ecrsim.mirror.copying import parse_source
from ecrsim.testing import build_image
from ecrsim.values import CommandFailed
from tests.ecr_public.conftest import alias_of
from tests.pushing import index_of, push, put

# Each test starts a second ecrsim.
pytestmark = pytest.mark.slow

ONE, TWO = build_image(b"one"), build_image(b"two", config=b'{"os":"linux","architecture":"arm64"}')


@pytest.fixture
def sites(tmp_path):
    """Two servers; the first has a public repository with an index and a tag."""
    with Ecrsim(data_dir=str(tmp_path / "there")) as there, Ecrsim(data_dir=str(tmp_path / "here")) as here:
        public = there.client("ecr-public")
        public.create_repository(repositoryName="app")
        push(public, "app", ONE, "v1")
        push(public, "app", TWO)
        put(public, "app", index_of(ONE, TWO), "all")
        yield there, here


@pytest.fixture
def mirror(sites, tmp_path, capsys):
    """Run the command: `mirror(":v1")`. What it printed."""
    there, here = sites
    name = f"127.0.0.1:{there.runtime.port}/public/{alias_of(there.client('ecr-public'))}/app"

    def run(reference="", *options, into="acme/app"):
        place = ("--port", str(here.runtime.port), "--data-dir", str(tmp_path / "here"))
        status = main(["public", "mirror", f"{name}{reference}", "--into", into, *place, *options])
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return run


def tags(sim, name="app"):
    found = sim.client("ecr-public").describe_image_tags(repositoryName=name)["imageTagDetails"]
    return {each["imageTag"]: each["imageDetail"]["imageDigest"] for each in found}


def test_a_tag_comes_with_its_layers(sites, mirror):
    _, here = sites
    status, shown, _ = mirror(":v1")
    assert status == 0
    assert tags(here) == {"v1": ONE.digest}
    assert shown.endswith(
        f"1 images and {len(ONE.blobs)} layers were brought, {sum(map(len, ONE.blobs.values()))} bytes\n"
    )
    assert all(digest in shown for digest in ONE.blobs)


def test_all_tags_come_and_what_they_list(sites, mirror):
    _, here = sites
    assert mirror()[0] == 0
    assert tags(here) == {"v1": ONE.digest, "all": index_of(ONE, TWO).digest}
    assert len(here.client("ecr-public").describe_images(repositoryName="app")["imageDetails"]) == 3


def test_what_is_there_is_not_brought_again(sites, mirror):
    mirror(":v1")
    status, shown, _ = mirror(":v1")
    assert (status, shown) == (0, "v1 is there\n0 images and 0 layers were brought, 0 bytes\n")


def test_a_run_that_was_cut_off_goes_on_with_the_layers_that_are_lacking(sites, mirror, monkeypatch):
    _, here = sites
    with monkeypatch.context() as patched:
        patched.setattr(pushing.Pusher, "manifest", _cut)
        status, _, told = mirror(":v1")
        assert (status, told) == (1, "ecrsim: cut off\n")
    assert tags(here) == {}
    status, shown, _ = mirror(":v1")
    assert status == 0
    assert shown.count(" is there") == len(ONE.blobs)
    assert tags(here) == {"v1": ONE.digest}


def _cut(*_):
    raise CommandFailed("cut off")


def test_by_digest(sites, mirror):
    _, here = sites
    assert mirror(f"@{TWO.digest}")[0] == 0
    [found] = here.client("ecr-public").describe_images(repositoryName="app")["imageDetails"]
    assert found["imageDigest"] == TWO.digest


def test_anybody_can_pull_it_then(sites, mirror):
    _, here = sites
    mirror(":v1")
    registries = here.client("ecr-public").describe_registries()["registries"]
    assert [each["name"] for each in registries[0]["aliases"] if each["primaryRegistryAlias"]] == ["acme"]


@pytest.mark.parametrize(
    ("reference", "into", "why"),
    [
        (":v9", "acme/app", "has no /v2/public/"),
        ("", "acme", "--into ALIAS/REPOSITORY is needed"),
        ("", "A/app", "an alias has 2 to 50"),
        ("", "acme/AA", "InvalidParameterException"),
    ],
)
def test_what_cannot_be_is_said(mirror, reference, into, why):
    status, _, told = mirror(reference, into=into)
    assert status == 1
    assert why in told


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("public.ecr.aws/nginx/nginx", ("public.ecr.aws", "nginx/nginx", None)),
        ("public.ecr.aws/nginx/nginx:1.27", ("public.ecr.aws", "nginx/nginx", "1.27")),
        ("localhost:5000/app:v1", ("localhost:5000", "app", "v1")),
        ("localhost/app", ("localhost", "app", None)),
        (f"quay.io/org/app@{ONE.digest}", ("quay.io", "org/app", ONE.digest)),
    ],
)
def test_how_a_source_is_read(text, found):
    assert parse_source(text) == found


@pytest.mark.parametrize("text", ["nginx", "nginx:1.27", "", "public.ecr.aws", "public.ecr.aws/", "quay.io/app@sha256"])
def test_what_names_no_repository(text):
    with pytest.raises(CommandFailed, match="names no repository"):
        parse_source(text)
