"""Settings: where they come from, which one holds, and what cannot be set."""

from dataclasses import fields

import pytest

from ecrsim.config import Config, ConfigError, load, strange_variables


@pytest.fixture
def toml(tmp_path):
    def write(text):
        file = tmp_path / "settings.toml"
        file.write_text(text, encoding="utf-8")
        return str(file)

    return write


def test_the_defaults_suffice():
    config = load(environ={"HOME": "/home/me"})
    assert (config.host, config.port, config.account, config.region) == (
        "127.0.0.1",
        5100,
        "000000000000",
        "us-east-1",
    )
    assert config.data_dir == "/home/me/.local/share/ecrsim"
    assert str(config.database_file) == "/home/me/.local/share/ecrsim/ecrsim.db"


def test_the_data_directory_follows_xdg():
    assert load(environ={"XDG_DATA_HOME": "/xdg", "HOME": "/home/me"}).data_dir == "/xdg/ecrsim"


@pytest.mark.parametrize(
    ("sources", "port"),
    [
        ((), 5100),
        (("file",), 1001),
        (("file", "variable"), 1002),
        (("file", "variable", "option"), 1003),
        (("file", "option"), 1003),
        (("variable", "option"), 1003),
    ],
    ids=lambda value: " and ".join(value) or "nothing" if isinstance(value, tuple) else "",
)
def test_an_option_comes_before_a_variable_before_the_file_before_the_default(sources, port, toml):
    config = load(
        {"port": 1003 if "option" in sources else None},
        environ={"ECRSIM_PORT": "1002"} if "variable" in sources else {},
        file=toml("port = 1001" if "file" in sources else ""),
    )
    assert config.port == port


def test_the_file_may_be_named_by_a_variable(toml):
    assert load(environ={"ECRSIM_CONFIG": toml("region = 'eu-west-1'")}).region == "eu-west-1"


def test_a_file_spells_settings_with_dashes_or_underscores(toml):
    config = load(environ={}, file=toml('data-dir = "/a"\nblob_store = "/b"\ncreate-on-push = true'))
    assert (config.data_dir, config.blob_store, config.create_on_push) == ("/a", "/b", True)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", True),
        ("true", True),
        ("YES", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_a_variable_says_yes_or_no_in_several_ways(text, value):
    assert load(environ={"ECRSIM_SPARSE": text}).sparse is value


@pytest.mark.parametrize("name", ["port", "tls", "data_dir", "registry_host", "account"])
def test_an_empty_variable_is_one_that_is_not_set(name):
    unset, empty = load(environ={"HOME": "/h"}), load(environ={"HOME": "/h", f"ECRSIM_{name.upper()}": ""})
    assert getattr(empty, name) == getattr(unset, name)


def test_a_tilde_is_the_home_of_the_user(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = load(environ={"ECRSIM_DATA_DIR": "~/ecr", "ECRSIM_BLOB_STORE": "~/blobs"})
    assert (config.data_dir, config.blob_store) == ("/home/me/ecr", "/home/me/blobs")


def test_a_path_may_be_one_of_pathlib(tmp_path):
    assert load({"data_dir": tmp_path / "data"}, environ={}).data_dir == str(tmp_path / "data")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("ECRSIM_PROT", "ECRSIM_PROT is no setting and has no effect; the nearest is ECRSIM_PORT"),
        ("ECRSIM_STRICT", "ECRSIM_STRICT is no setting and has no effect; the nearest is ECRSIM_STRICT_ECR"),
        ("ECRSIM_QQQQ", "ECRSIM_QQQQ is no setting and has no effect"),
        ("ECRSIM_CONFIG", None),
        ("ECRSIM_PORT_5100_TCP_ADDR", None),
        ("ECRSIM_SERVICE_HOST", None),
        ("OTHER_PROT", None),
    ],
)
def test_a_misspelt_variable_is_named_with_the_nearest(name, sentence):
    assert strange_variables({name: "1"}) == ([] if sentence is None else [sentence])


def test_a_database_url_says_where_the_file_is():
    assert (
        str(load({"database_url": "sqlite:////var/lib/ecr.db?timeout=5"}, environ={}).database_file)
        == "/var/lib/ecr.db"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"account": "123"}, "account must be 12 digits"),
        ({"account": "١٢٣٤٥٦٧٨٩٠١٢"}, "account must be 12 digits"),
        ({"region": "here"}, "region must be"),
        ({"port": 65536}, "port must be a port number"),
        ({"port": -1}, "port must be a port number"),
        ({"tls_port": 65536}, "tls-port must be a port number, 0 to 65535"),
        ({"workers": 0}, "workers must be 1 or more"),
        ({"threads": 0}, "threads must be 1 or more"),
        ({"tls_cert": "/a.pem"}, "tls-cert must be given together with tls_key"),
        ({"tls_key": "/a.pem"}, "tls-cert must be given together with tls_key"),
        ({"database_url": "mysql://localhost/ecr"}, "sqlite:///PATH or postgresql://USER@HOST/DATABASE"),
        ({"database_url": "sqlite:///:memory:"}, "database-url must be sqlite:///PATH"),
        ({"database_url": "sqlite:///"}, "database-url must be sqlite:///PATH"),
        ({"blob_store": "gs://bucket/prefix"}, "a directory or s3://BUCKET/PREFIX"),
        ({"blob_store": "s3://Bucket"}, "a directory or s3://BUCKET/PREFIX"),
        ({"blob_store": "s3://bucket/prefix"}, "ECRSIM_S3_AWS_ACCESS_KEY_ID.*AWS's own variables are not read"),
        ({"blob_store": "s3://bucket", "s3_aws_access_key_id": "AKIA"}, "together with s3-aws-secret-access-key"),
        (
            {"s3_aws_access_key_id": "AKIA", "s3_aws_secret_access_key": "x", "s3_aws_profile": "store"}
            | {"blob_store": "s3://bucket"},
            "or s3-aws-profile instead",
        ),
        ({"blob_s3_kms_key": "alias/layers"}, "--blob-s3-sse aws:kms"),
        ({"blob_s3_sse": "AES"}, "AES256"),
        ({"s3_aws_endpoint_url": "minio:9000"}, "a URL without a path"),
        ({"blob_s3_public_url": "http://minio:9000/path"}, "a URL without a path"),
        ({"remote_threads": 0}, "1 or more"),
        ({"durability": "hope"}, "durability must be process or power"),
        ({"auth": "none"}, "auth must be open or strict"),
        ({"log_format": "xml"}, "log-format must be text or json"),
        ({"host": ""}, "host must be an address or a name of this machine"),
        ({"registry_host": "http://registry.test"}, "without a scheme or a path"),
        ({"registry_host": "registry.test/ecr"}, "without a scheme or a path"),
        ({"registry_host": "registry.test:port"}, "without a scheme or a path"),
        ({"quota_images": -1}, "quota-images must be 0 or more"),
        ({"gc_grace": -1}, "gc-grace must be 0 or more"),
        ({"token_lifetime": -1}, "token-lifetime must be 0 or more"),
        ({"token_lifetime": 3_162_240_001}, "token-lifetime must be 3162240000 or less"),
        ({"gc_grace": 10**30}, "gc-grace must be 3162240000 or less"),
        ({"quota_images": 1 << 63}, "quota-images must be 1125899906842624 or less"),
        ({"quota_images": "3"}, "quota-images must be of type int"),
        ({"port": True}, "port must be of type int"),
        ({"tls": 1}, "tls must be of type bool"),
        ({"account": 123456789012}, "account must be of type str"),
        ({"data_dir": 7}, "data-dir must be of type str"),
        ({"quota_image": 3}, "there is no setting named quota_image; the nearest is quota_images"),
        ({"xyzzy": 3}, "there is no setting named xyzzy$"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_with_what_would_do(settings, words):
    with pytest.raises(ConfigError, match=words):
        load(settings, environ={})


@pytest.mark.parametrize(
    "host", ["localhost", "domain", "aws", "registry", "registry.test:8080", "10.0.0.1", "[::1]:5100"]
)
def test_a_registry_host_is_a_word_or_an_authority(host):
    assert load({"registry_host": host}, environ={}).registry_host == host


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"ECRSIM_PORT": "http"}, "ECRSIM_PORT must be a whole number, not http"),
        ({"ECRSIM_PORT": "9" * 5_000}, "ECRSIM_PORT must be a whole number, not 999"),
        ({"ECRSIM_PORT": "tcp://10.0.0.7:5100"}, "Kubernetes sets it .* enableServiceLinks: false"),
        ({"ECRSIM_TLS": "maybe"}, "ECRSIM_TLS must be true or false, not maybe"),
        ({"ECRSIM_CONFIG": "/nowhere/settings.toml"}, "/nowhere/settings.toml cannot be read"),
    ],
    ids=str,
)
def test_a_variable_that_cannot_be_read_is_named(environ, words):
    with pytest.raises(ConfigError, match=words):
        load(environ=environ)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port = ", "cannot be read"),
        ("prot = 5100", "there is no setting named prot; the nearest is port"),
        ("port = '5100'", "port must be of type int"),
        ("port = true", "port must be of type int"),
        ("tls = 1", "tls must be of type bool"),
        ("[serve]\nport = 5100", "there is no setting named serve"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_read_is_named_with_the_reason(text, words, toml):
    file = toml(text)
    with pytest.raises(ConfigError, match=words) as refused:
        load(environ={}, file=file)
    assert str(refused.value).startswith(file)


def test_every_setting_can_come_from_a_variable_and_from_a_file(toml):
    given = {"int": "7", "bool": "true"}
    values = {
        "account": "123456789012",
        "region": "eu-central-1",
        "tls_cert": "/cert.pem",
        "tls_key": "/key.pem",
        "cors_origins": "http://localhost:3000",
        "database_url": "sqlite:////d.db",
        "durability": "power",
        "auth": "strict",
        "blob_s3_sse": "aws:kms",
        "blob_s3_public_url": "http://127.0.0.1:9000",
        "s3_aws_endpoint_url": "http://127.0.0.1:9000",
        "clock": "frozen",
        "jobs": "manual",
        "log_format": "json",
        "scanner": "trivy",
        "secretsmanager_endpoint": "http://127.0.0.1:5002",
        "kms_endpoint": "http://127.0.0.1:5003",
        "upstream": "registry.test=http://127.0.0.1:5001",
        "region_endpoint": "eu-west-1=http://127.0.0.1:5001",
    }
    texts = {knob.name: values.get(knob.name) or given.get(knob.type, "/text") for knob in fields(Config)}
    texts["registry_host"] = "aws"
    texts["encrypt"] = "false"  # another scanner than ecrsim's own would have the layers in the clear
    lines = [
        f"{name} = {text}" if Config.__dataclass_fields__[name].type in given else f'{name} = "{text}"'
        for name, text in texts.items()
    ]
    by_variables = load(environ={f"ECRSIM_{name.upper()}": text for name, text in texts.items()})
    assert by_variables == load(environ={}, file=toml("\n".join(lines)))
    assert [knob.name for knob in fields(Config) if getattr(by_variables, knob.name) == knob.default] == [
        "encrypt",
        "admin",
    ]
