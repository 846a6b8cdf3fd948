"""Keys at a KMS beside ecrsim: moto's, over HTTP, and one that says what it likes."""

import threading
from collections import Counter
from typing import Any

import boto3
import pytest
from botocore.config import Config

from ecrsim import Ecrsim
from ecrsim.core.errors import KmsException
from ecrsim.core.runtime import root_caller
from ecrsim.ecr.encryption import datakeys, memory
from ecrsim.ecr.repositories.service import get_repository
from ecrsim.testing import build_image
from tests.answers import refused
from tests.ecr.encryption.conftest import ARN
from tests.keys import encrypted, make_key
from tests.pushing import create, digest_of, push, push_layer, put

REGION = "us-east-1"
#: Moto's own.
MOTO = "123456789012"


@pytest.fixture(scope="module")
def moto():
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def at_moto(moto, configure, sim):
    """A client of moto's KMS, which ecrsim asks."""
    configure(kms_endpoint=moto)
    client = boto3.client(
        "kms",
        endpoint_url=moto,
        region_name=REGION,
        aws_access_key_id=MOTO,
        aws_secret_access_key="x",
        config=Config(proxies={}, retries={"total_max_attempts": 1}),
    )
    yield client
    client.close()


@pytest.fixture
def at_once(monkeypatch):
    """What a KMS allowed is good for no time."""
    monkeypatch.setattr(memory, "FRESH", 0)


@pytest.fixture
def key(at_moto):
    return at_moto.create_key()["KeyMetadata"]["Arn"]


def id_of(arn):
    """What moto wants where KMS takes an ARN as well."""
    return arn.rpartition("/")[2]


def configuration(ecr, name, kms_key=None):
    create(ecr, name, **encrypted(kms_key))
    (found,) = ecr.describe_repositories(repositoryNames=[name])["repositories"]
    return found["encryptionConfiguration"]["kmsKey"]


def kms_error(operation, **parameters):
    answer = refused(operation, **parameters)
    assert answer["Error"]["Code"] == "KmsException"
    return answer["kmsError"]


@pytest.mark.documented
class TestAtMoto:
    def test_every_form_is_shown_as_the_key_s_arn(self, ecr, at_moto, key):
        at_moto.create_alias(AliasName="alias/forms", TargetKeyId=key)
        forms = [id_of(key), key, "alias/forms", key.rpartition(":")[0] + ":alias/forms"]
        assert [configuration(ecr, f"app{number}", form) for number, form in enumerate(forms)] == [key] * 4
        at_moto.delete_alias(AliasName="alias/forms")

    def test_two_grants_of_the_repository_are_made_and_retired(self, ecr, at_moto, key):
        create(ecr, **encrypted(key))
        grants = at_moto.list_grants(KeyId=key)["Grants"]
        principal = f"ecr.{REGION}.amazonaws.com"
        context = {"aws:ecr:arn": f"arn:aws:ecr:{REGION}:000000000000:repository/app"}
        assert len(grants) == 2
        for grant in grants:
            assert (grant["GranteePrincipal"], grant["RetiringPrincipal"]) == (principal, principal)
            assert sorted(grant["Operations"]) == ["Decrypt", "GenerateDataKey"]
            assert grant["Constraints"] == {"EncryptionContextSubset": context}
        ecr.delete_repository(repositoryName="app")
        assert at_moto.list_grants(KeyId=key)["Grants"] == []

    @pytest.mark.parametrize("way", ["disabled", "pending deletion"])
    def test_a_key_lost_and_found_in_the_middle_of_a_push_and_of_a_pull(self, ecr, at_moto, key, at_once, way):
        def lose():
            if way == "disabled":
                at_moto.disable_key(KeyId=id_of(key))
            else:
                at_moto.schedule_key_deletion(KeyId=id_of(key), PendingWindowInDays=7)

        def find():
            if way != "disabled":
                at_moto.cancel_key_deletion(KeyId=id_of(key))
            at_moto.enable_key(KeyId=id_of(key))

        code = "DisabledException" if way == "disabled" else "KMSInvalidStateException"
        create(ecr, **encrypted(key))
        image, layer = build_image(), b"a layer" * 100
        place = {"repositoryName": "app", "uploadId": ecr.initiate_layer_upload(repositoryName="app")["uploadId"]}
        part = {"partFirstByte": 0, "partLastByte": len(layer) - 1, "layerPartBlob": layer}
        lose()
        assert kms_error(ecr.initiate_layer_upload, repositoryName="app") == code
        assert kms_error(ecr.upload_layer_part, **place, **part) == code
        find()
        ecr.upload_layer_part(**place, **part)
        lose()
        assert kms_error(ecr.complete_layer_upload, **place, layerDigests=[digest_of(layer)]) == code
        find()
        ecr.complete_layer_upload(**place, layerDigests=[digest_of(layer)])
        for data in image.blobs.values():
            push_layer(ecr, "app", data)
        lose()
        assert kms_error(ecr.put_image, repositoryName="app", imageManifest=image.manifest.decode()) == code
        find()
        put(ecr, "app", image, "v1")
        ids = [{"imageTag": "v1"}]
        lose()
        for batch in (ecr.batch_get_image, ecr.batch_delete_image):
            (failure,) = batch(repositoryName="app", imageIds=ids)["failures"]
            assert failure["failureCode"] == "KmsError"
        find()
        (found,) = ecr.batch_get_image(repositoryName="app", imageIds=ids)["images"]
        assert found["imageId"]["imageDigest"] == image.digest

    def test_a_key_that_signs_encrypts_nothing(self, ecr, at_moto):
        signs = at_moto.create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")["KeyMetadata"]["Arn"]
        code = kms_error(ecr.create_repository, repositoryName="app", **encrypted(signs))
        assert code == "InvalidKeyUsageException"
        assert ecr.describe_repositories()["repositories"] == []

    def test_a_key_that_is_not_there(self, ecr, at_moto):
        for named in ("alias/nobody", "1234abcd-12ab-34cd-56ef-1234567890ab"):
            assert kms_error(ecr.create_repository, repositoryName="app", **encrypted(named)) == "NotFoundException"

    @pytest.mark.inferred
    def test_aws_s_own_key_is_the_ring_s_where_moto_makes_none(self, ecr, at_moto):
        found = configuration(ecr, "app")
        assert found == configuration(ecr, "other", "alias/aws/ecr")
        push(ecr, "app", None, "v1")

    def test_a_key_of_the_ring_stays_there(self, sim, ecr, configure, moto):
        configure(kms_endpoint="")
        of_ring = make_key(sim)
        create(ecr, **encrypted(of_ring))
        configure(kms_endpoint=moto)
        push(ecr, "app", None, "v1")
        assert ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["failures"] == []

    def test_data_keys_open_for_their_repository_alone(self, sim, ecr, at_moto, key, at_once):
        create(ecr, **encrypted(key))
        create(ecr, "other", **encrypted(key))
        one, other = (_repository(sim, name) for name in ("app", "other"))
        made = datakeys.generate_now(sim.runtime, one)
        assert (len(made.plaintext), made.key_arn) == (32, key)
        assert datakeys.open_now(sim.runtime, one, made.wrapped) == made.plaintext
        with pytest.raises(KmsException) as caught:
            datakeys.open_now(sim.runtime, other, made.wrapped)
        assert caught.value.members["kmsError"] == "InvalidCiphertextException"
        at_moto.rotate_key_on_demand(KeyId=id_of(key))
        assert datakeys.open_now(sim.runtime, one, made.wrapped) == made.plaintext
        at_moto.disable_key(KeyId=id_of(key))
        with pytest.raises(KmsException, match="is disabled"):
            datakeys.open_now(sim.runtime, one, made.wrapped)


class TestAtMotoAtRest(TestAtMoto):
    """The same, where what is stored is encrypted by what the KMS gives."""

    @pytest.fixture
    def sim(self):
        with Ecrsim(socket=False, encrypt=True) as sim:
            yield sim

    @pytest.fixture
    def _clients(self):
        return {}


def _repository(sim, name):
    caller = root_caller(sim.runtime.config.account, REGION)
    with sim.runtime.call(caller) as call:
        return get_repository(call, caller.registry, name)


# --- one that says what it likes --------------------------------------------------------------------------------------


@pytest.mark.documented
def test_what_is_asked_when(ecr, scripted):
    """Create: DescribeKey and two CreateGrant. Push: GenerateDataKey. Pull: Decrypt. Delete: two RetireGrant."""
    create(ecr, **encrypted(ARN))
    assert scripted.asked == {"describe_key": 1, "create_grant": 2}
    push(ecr, "app", None, "v1")
    assert scripted.asked == {"describe_key": 2, "create_grant": 2, "generate_data_key": 1}
    ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    assert scripted.asked["decrypt"] == 1
    ecr.delete_repository(repositoryName="app", force=True)
    assert scripted.asked["retire_grant"] == 2


@pytest.mark.documented
def test_the_encryption_context_is_ecr_s(ecr, scripted):
    create(ecr, **encrypted(ARN))
    push(ecr, "app", None, "v1")
    ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])
    contexts = [given["EncryptionContext"] for _, given in scripted.parameters if "EncryptionContext" in given]
    assert len(contexts) == 2
    for context in contexts:
        assert context["aws:ecr:arn"] == "arn:aws:ecr:us-east-1:000000000000:repository/app"
        assert context["aws:s3:arn"].startswith("arn:aws:s3:::us-east-1-starport-manifest-bucket/")
    assert contexts[0] == contexts[1]


def test_what_a_kms_allowed_is_good_for_a_while_and_a_refusal_is_not(ecr, scripted, monkeypatch):
    create(ecr, **encrypted(ARN))
    push(ecr, "app", None, "v1")
    for _ in range(5):
        ecr.initiate_layer_upload(repositoryName="app")
    assert scripted.asked["generate_data_key"] == 1
    monkeypatch.setattr(memory, "FRESH", 0)
    scripted.refuses["generate_data_key"] = "AccessDeniedException"
    for number in (2, 3):
        assert kms_error(ecr.initiate_layer_upload, repositoryName="app") == "AccessDeniedException"
        assert scripted.asked["generate_data_key"] == number
    scripted.refuses.clear()
    assert ecr.initiate_layer_upload(repositoryName="app")["uploadId"]


@pytest.mark.parametrize("operation", ["describe_key", "create_grant"])
@pytest.mark.parametrize("code", ["AccessDeniedException", "KMSInvalidStateException", "LimitExceededException", ""])
def test_a_refusal_at_the_creation_leaves_no_repository(ecr, scripted, operation, code):
    scripted.refuses[operation] = code
    answer = refused(ecr.create_repository, repositoryName="app", **encrypted(ARN))
    assert answer["Error"]["Code"] == "KmsException"
    # What could not be reached has no code of its own: KMS's for that is inferred.
    assert answer["kmsError"] == (code or "DependencyTimeoutException")
    assert answer["Error"]["Message"] == ("it is so" if code else "nobody answers")
    assert ecr.describe_repositories()["repositories"] == []


@pytest.mark.documented
def test_grants_that_cannot_be_retired(ecr, scripted):
    create(ecr, **encrypted(ARN))
    scripted.refuses["retire_grant"] = "AccessDeniedException"
    answer = refused(ecr.delete_repository, repositoryName="app")
    assert (answer["Error"]["Code"], answer["kmsError"]) == ("KmsException", "AccessDeniedException")
    assert answer["Error"]["Message"] == (
        f"The repository [app] has been deleted successfully but the grants created by the kmsKey [{ARN}] failed to be "
        "retired"
    )
    assert ecr.describe_repositories()["repositories"] == []


def test_grants_that_are_there_no_more_are_retired(ecr, scripted):
    create(ecr, **encrypted(ARN))
    scripted.refuses["retire_grant"] = "NotFoundException"
    assert ecr.delete_repository(repositoryName="app")["repository"]["repositoryName"] == "app"


def test_what_is_refused_without_a_key_asks_no_kms(ecr, scripted):
    create(ecr, **encrypted(ARN))
    before = Counter(scripted.asked)
    answer = refused(ecr.create_repository, repositoryName="app", **encrypted(ARN))
    assert answer["Error"]["Code"] == "RepositoryAlreadyExistsException"
    answer = refused(ecr.delete_repository, repositoryName="nobody")
    assert answer["Error"]["Code"] == "RepositoryNotFoundException"
    assert scripted.asked == before


def test_no_transaction_is_open_while_a_kms_thinks(sim, ecr, client, scripted, monkeypatch):
    """Another client writes while CreateRepository waits for an answer."""
    begun, allowed = threading.Event(), threading.Event()
    answer = scripted.call

    def slow(operation: str, **parameters: Any) -> dict[str, Any]:
        begun.set()
        assert allowed.wait(20)
        return answer(operation, **parameters)

    monkeypatch.setattr(scripted, "call", slow)
    other = client(account="111111111111")
    waiting = threading.Thread(target=create, args=(ecr,), kwargs=encrypted(ARN))
    waiting.start()
    try:
        assert begun.wait(20)
        create(other, "meanwhile")
        assert other.describe_repositories()["repositories"][0]["repositoryName"] == "meanwhile"
    finally:
        allowed.set()
        waiting.join(20)
    assert ecr.describe_repositories()["repositories"][0]["repositoryName"] == "app"


@pytest.mark.documented
def test_a_push_over_http_waits_for_no_thread(moto):
    """The server itself does the work again: served by granian's stand-in over a socket."""
    with Ecrsim(kms_endpoint=moto) as sim:
        at_moto = boto3.client(
            "kms", endpoint_url=moto, region_name=REGION, aws_access_key_id=MOTO, aws_secret_access_key="x"
        )
        key = at_moto.create_key()["KeyMetadata"]["Arn"]
        ecr = sim.client()
        create(ecr, **encrypted(key))
        image = sim.push("app", "v1")
        (found,) = ecr.batch_get_image(repositoryName="app", imageIds=[{"imageTag": "v1"}])["images"]
        assert found["imageId"]["imageDigest"] == image.digest
        at_moto.close()
