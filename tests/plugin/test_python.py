"""`Ecrsim` in the hand: what it checks, pushes and says when it is used wrongly."""

import subprocess
import sys

import pytest

from ecrsim import Ecrsim
from ecrsim.config import ConfigError
from ecrsim.testing import build_image


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"quota_images": "3"}, "quota-images must be of type int"),
        ({"acount": "123456789012"}, "there is no setting named acount; the nearest is account"),
        ({"account": "1"}, "account must be 12 digits"),
        ({"ephemeral": True, "data_dir": "/x"}, "leave one of the two out"),
    ],
    ids=str,
)
def test_settings_are_checked_when_they_are_given(settings, sentence):
    with pytest.raises(ConfigError, match=sentence):
        Ecrsim(**settings)


@pytest.mark.parametrize("account", ["1", "12345678901a", 123456789012, "", "1234567890123"], ids=repr)
def test_an_account_is_twelve_digits(account):
    with Ecrsim(socket=False) as sim, pytest.raises(ValueError, match="an account is a text of 12 digits"):
        sim.client(account=account)


@pytest.mark.parametrize(
    "use",
    [
        lambda sim: sim.endpoint_url,
        lambda sim: sim.registry,
        lambda sim: sim.environment,
        lambda sim: sim.client(),
        lambda sim: sim.push("app", "v1"),
    ],
    ids=["endpoint_url", "registry", "environment", "client", "push"],
)
@pytest.mark.parametrize("was_started", [False, True], ids=["before", "after"])
def test_what_does_not_run_has_no_address(use, was_started):
    sim = Ecrsim()
    if was_started:
        sim.start().stop()
    with pytest.raises(RuntimeError, match="or call start"):
        use(sim)
    sim.stop()


def test_what_runs_is_not_started_twice():
    with Ecrsim(socket=False) as sim, pytest.raises(RuntimeError, match="runs already"):
        sim.start()


def test_what_was_stopped_can_be_started_again(tmp_path):
    sim = Ecrsim(socket=False, data_dir=str(tmp_path))
    for tag in ("v1", "v2"):
        with sim:
            sim.push("app", tag)
            assert not sim.runtime.stopping.is_set()
    with sim:
        details = sim.client().describe_images(repositoryName="app")["imageDetails"]
    assert sorted(image["imageTags"] for image in details) == [["v1"], ["v2"]]


def test_each_push_is_a_new_image_in_a_repository_that_is_made():
    with Ecrsim(socket=False) as sim:
        first = sim.push("team/app", "v1", "latest")
        second = sim.push("team/app", "latest")
        details = sim.client().describe_images(repositoryName="team/app")["imageDetails"]
        assert {image["imageDigest"]: image["imageTags"] for image in details} == {
            first.digest: ["v1"],
            second.digest: ["latest"],
        }


def test_a_push_is_one_of_an_image_of_ones_own_to_any_account_and_with_or_without_a_tag():
    image = build_image(b"x" * (9 * 1024 * 1024))
    with Ecrsim(socket=False) as sim:
        assert sim.push("app", image=image, account="111111111111", region="eu-west-1") is image
        elsewhere = sim.client(account="111111111111", region="eu-west-1")
        assert elsewhere.list_images(repositoryName="app")["imageIds"] == [{"imageDigest": image.digest}]
        assert sim.client().describe_repositories()["repositories"] == []


def test_a_missing_boto3_is_named_with_what_to_install():
    program = """
import sys
sys.modules["boto3"] = None
import importlib.util
importlib.util.find_spec = lambda name, package=None: None
from ecrsim import Ecrsim
with Ecrsim(socket=False) as sim:
    try:
        sim.client()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == 'clients are made by boto3, which is not installed: pip install "ecrsim[boto]"\n'


@pytest.mark.parametrize(
    "modules", ["ecrsim.cli, ecrsim.processes", "ecrsim.app, ecrsim.delivery.pump, ecrsim.delivery.targets"]
)
def test_a_start_imports_no_boto3(modules):
    """It is installed for targets and clients, and costs 100 ms and 19 MB."""
    program = f"import sys, {modules}; print(sorted({{'boto3', 'botocore'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_ecrsim_is_found_from_the_folder_above_its_checkout(tmp_path):
    """A folder named ecrsim without Python in it is a namespace package, which must not win over the installed one."""
    (tmp_path / "ecrsim").mkdir()
    program = "from ecrsim import Ecrsim; print(Ecrsim.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.stdout, done.stderr) == ("Ecrsim\n", "")
