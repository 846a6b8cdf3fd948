"""How a store in S3 is told where its bucket is, and whose it is."""

from collections.abc import Iterator

import pytest

from ecrsim.blobs import StoreUnwritable, s3
from ecrsim.blobs.identity import StoreIdentity, StoreMismatch
from ecrsim.blobs.s3 import Bucket, parse_url
from ecrsim.blobs.s3_identity import S3Home
from ecrsim.blobs.s3_store import S3Store
from tests.blobs.conftest import store_in
from tests.blobs.sources import sha256

LARGE = bytes(9 * 1024 * 1024)


def test_sse_is_asked_for_wherever_something_is_written(moto):
    bucket = moto.new_bucket()
    store = store_in(moto, bucket, sse="aws:kms", kms_key="alias/layers")
    store.put(sha256(b"put"), b"put")
    for name, data in (("one", b"one"), ("many", LARGE)):
        store.create_upload(name)
        store.append_bytes(name, data)
        store.commit(name, sha256(data), keep=True)
    keys = moto.keys(bucket)
    assert len(keys) > 5
    for key in keys:
        found = moto.client.head_object(Bucket=bucket, Key=key)
        assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", "alias/layers"), key


@pytest.mark.parametrize(
    ("url", "parts"),
    [
        ("s3://bucket", ("bucket", "")),
        ("s3://bucket/", ("bucket", "")),
        ("s3://bucket/ecr", ("bucket", "ecr/")),
        ("s3://my.bucket-1/a/b_c/", ("my.bucket-1", "a/b_c/")),
        ("s3://Bucket/ecr", None),
        ("s3://b", None),
        ("s3://bucket//ecr", None),
        ("s3://bucket/a b", None),
        ("s3://", None),
        ("/mnt/s3://bucket", None),
        ("gs://bucket", None),
    ],
)
def test_a_url_names_bucket_and_prefix(url, parts):
    assert parse_url(url) == parts


AWS = {
    "AWS_ACCESS_KEY_ID": "AKIATEST",
    "AWS_SECRET_ACCESS_KEY": "of-a-test",
    "AWS_SESSION_TOKEN": "of-a-test",
    "AWS_PROFILE": "not-there",
    "AWS_REGION": "eu-west-9",
    "AWS_DEFAULT_REGION": "eu-west-9",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
    "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
    "AWS_CA_BUNDLE": "/not/there.pem",
    "HTTP_PROXY": "http://127.0.0.1:1",
    "http_proxy": "http://127.0.0.1:1",
}


@pytest.fixture
def aws_variables(monkeypatch: pytest.MonkeyPatch, tmp_path) -> Iterator[None]:
    for name, value in AWS.items():
        monkeypatch.setenv(name, value)
    config = tmp_path / "config"
    config.write_text("[profile store]\naws_access_key_id=AKIAPROFILE\naws_secret_access_key=x\nregion=eu-north-1\n")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/not/there")
    s3._make_client.cache_clear()
    yield
    s3._make_client.cache_clear()


def test_the_variables_of_what_is_tested_are_not_the_stores(moto, aws_variables):
    store = store_in(moto, moto.new_bucket())
    store.put(sha256(b"layer"), b"layer")
    client = store.bucket._client()
    credentials = client._request_signer._credentials
    assert (credentials.access_key, credentials.token) == (moto.access.access_key_id, None)
    assert client.meta.region_name == "us-east-1"
    assert client.meta.endpoint_url == moto.url


def test_a_profile_gives_key_and_region_and_amazon_is_the_endpoint(aws_variables):
    client = Bucket("s3://bucket", s3.S3Access(profile="store"))._client()
    assert client._request_signer._credentials.access_key == "AKIAPROFILE"
    assert client.meta.region_name == "eu-north-1"
    assert client.meta.endpoint_url == "https://s3.eu-north-1.amazonaws.com"


def test_a_profile_that_is_not_there_is_said(aws_variables):
    store = S3Store(Bucket("s3://bucket", s3.S3Access(profile="nobody")), lambda: "token")
    with pytest.raises(StoreUnwritable, match="nobody"):
        store.check()


def test_a_store_has_one_owner(moto, tmp_path):
    bucket = moto.new_bucket()
    home = S3Home(Bucket(f"s3://{bucket}/ecr", moto.access), tmp_path)
    assert home.read() is None
    identity = StoreIdentity("id", "/data/ecrsim.db", home.place, 0.0, 3)
    assert home.write(identity) is True
    assert home.write(identity._replace(id="other")) is False
    assert home.read() == identity
    assert home.write(identity._replace(id="other"), replace=True) is True
    assert home.read().id == "other"
    moto.client.put_object(Bucket=bucket, Key="ecr/store.json", Body=b"{}")
    with pytest.raises(StoreMismatch, match="whose store"):
        home.read()
