"""The fixtures that a project gets by installing ecrsim."""

import subprocess
import sys

import pytest

# Each test runs pytest in a process of its own.
pytestmark = pytest.mark.slow

pytest_plugins = ["pytester"]


@pytest.fixture
def run(pytester):
    """Run a test file in a project of its own, in a process of its own."""

    def attempt(source, *options):
        pytester.makepyfile(source)
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", "-W", "error", *options)

    return attempt


def test_every_test_finds_it_empty_and_at_the_present(run):
    result = run(
        """
        from datetime import UTC, datetime, timedelta

        import pytest

        @pytest.mark.parametrize("round", range(3))
        def test_fresh(ecrsim, ecr, round):
            assert ecr.describe_repositories()["repositories"] == []
            created_at = ecr.create_repository(repositoryName="app")["repository"]["createdAt"]
            assert abs(datetime.now(UTC) - created_at) < timedelta(minutes=1)
            ecr.put_account_setting(name="BLOB_MOUNTING", value="ENABLED")
            ecrsim.advance(days=3)

        def test_settings(ecr):
            assert ecr.get_account_setting(name="BLOB_MOUNTING")["value"] == "DISABLED"
        """
    )
    result.assert_outcomes(passed=4)


def test_the_clock_stands_still_and_is_turned(run):
    result = run(
        """
        from datetime import UTC, datetime, timedelta

        import pytest

        @pytest.mark.parametrize("round", range(2))
        def test_turned(ecrsim_clock, ecrsim, ecr, round):
            begun = ecrsim_clock.now
            assert abs(datetime.now(UTC) - begun) < timedelta(minutes=1)
            assert ecr.create_repository(repositoryName="app")["repository"]["createdAt"] == begun
            assert ecrsim_clock.now == begun
            assert ecrsim_clock.advance(days=14, hours=1) == []
            assert ecrsim.now == ecrsim_clock.now == begun + timedelta(days=14, hours=1)
            ecrsim_clock.freeze("2031-01-31T12:00:00Z")
            expires = ecr.get_authorization_token()["authorizationData"][0]["expiresAt"]
            assert expires == datetime(2031, 2, 1, tzinfo=UTC)

        def test_back(ecrsim):
            assert abs(datetime.now(UTC) - ecrsim.now) < timedelta(minutes=1)
            assert not ecrsim.runtime.clock.setting.is_frozen
        """
    )
    result.assert_outcomes(passed=3)


@pytest.mark.slow
def test_events_are_asked_for_in_python(run):
    result = run(
        """
        def test_events(ecrsim, ecr):
            ecr.create_repository(repositoryName="app")
            [event] = ecrsim.events(repository="app")
            assert event["detail"]["eventName"] == "CreateRepository"
            assert ecrsim.events(type="ECR Image Action") == []

        def test_none_of_another_test(ecrsim):
            assert ecrsim.events() == []
        """
    )
    result.assert_outcomes(passed=2)


@pytest.mark.slow
def test_all_fixtures_of_a_test_are_the_same_ecrsim(run):
    result = run(
        """
        import urllib.request

        def test_same(ecr, ecrsim, ecrsim_registry):
            uri = ecr.create_repository(repositoryName="app")["repository"]["repositoryUri"]
            assert uri == f"{ecrsim_registry}/app"
            assert ecrsim_registry == ecrsim.registry
            other = ecrsim.client("ecr", region="eu-west-1", account="111111111111")
            assert other.describe_repositories()["repositories"] == []
            with urllib.request.urlopen(f"http://{ecrsim_registry}/_ecrsim/health") as answer:
                assert answer.status == 200
        """
    )
    result.assert_outcomes(passed=1)


@pytest.mark.slow
def test_a_project_may_have_fixtures_of_the_same_names(run):
    result = run(
        """
        import pytest

        @pytest.fixture
        def ecr(ecrsim):
            return ecrsim.client("ecr", region="eu-west-1")

        def test_own(ecr):
            assert ecr.meta.region_name == "eu-west-1"
        """
    )
    result.assert_outcomes(passed=1)


def test_a_run_without_the_fixtures_starts_nothing(run):
    result = run(
        """
        import sys

        def test_nothing():
            assert not {"flask", "sqlalchemy", "boto3", "werkzeug"} & set(sys.modules)
            assert "ecrsim.server" not in sys.modules
        """
    )
    result.assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_what_they_are(run):
    result = run("", "--fixtures")
    result.stdout.fnmatch_lines_random(["ecrsim -- *", "ecr -- *", "ecrsim_clock -- *", "ecrsim_registry -- *"])
    assert "no docstring available" not in "\n".join(line for line in result.stdout.lines if line.startswith("ecr"))


def test_it_is_loaded_in_no_time():
    """What the plugin imports by itself is pytest and the package's own first page."""
    loaded = (
        "import sys, pytest; before = set(sys.modules); import ecrsim.pytest_plugin; print(*set(sys.modules) - before)"
    )
    answer = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True)
    assert set(answer.stdout.split()) == {"ecrsim", "ecrsim.pytest_plugin"}


def test_settings_come_from_the_ini_file_and_from_marks(run, pytester):
    pytester.makeini(
        """
        [pytest]
        ecrsim =
            account = 123456789012
            strict-ecr = yes
            quota_images = 5
            principals = people.toml
        """
    )
    pytester.makefile(".toml", people='[[users]]\nname = "ci"\naccess_keys = [{ id = "AKIACI", secret = "s" }]')
    result = run(
        """
        import pytest
        from botocore.exceptions import ClientError

        pytestmark = pytest.mark.ecrsim(region="eu-west-1", quota_images=4)

        def test_common(ecrsim):
            config = ecrsim.runtime.config
            assert (config.account, config.strict_ecr, config.quota_images) == ("123456789012", True, 4)
            assert config.region == "eu-west-1"
            [user] = ecrsim.client("sts").get_caller_identity()["Arn"].split()
            assert user == "arn:aws:iam::123456789012:root"

        @pytest.mark.ecrsim(quota_images=1)
        def test_nearest(ecrsim, ecr):
            ecrsim.push("app", "v1")
            with pytest.raises(ClientError, match="LimitExceededException"):
                ecrsim.push("app", "v2")

        def test_again(ecrsim, ecr):
            assert ecrsim.runtime.config.quota_images == 4
            assert ecr.describe_repositories()["repositories"] == []
        """
    )
    result.assert_outcomes(passed=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ini", "mark", "sentence"),
    [
        ("acount = 1", "", "*ini option ecrsim: there is no setting named acount; the nearest is account*"),
        ("quota_images = many", "", "*ini option ecrsim: quota_images must be a whole number, not many*"),
        ("account", "", "*a setting is written as name = value, not account*"),
        ("", "@pytest.mark.ecrsim(quota_images='3')", "*quota-images must be of type int*"),
        ("", "@pytest.mark.ecrsim(3)", "*takes settings by name*"),
    ],
)
def test_a_setting_that_cannot_be_is_named(ini, mark, sentence, run, pytester):
    pytester.makeini(f"[pytest]\necrsim = {ini}\n")
    result = run(f"import pytest\n\n{mark}\ndef test_it(ecrsim):\n    pass\n")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([sentence])


@pytest.mark.slow
def test_the_environment_leads_clients_to_it(run, monkeypatch):
    monkeypatch.setenv("AWS_PROFILE", "of-the-developer")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of-the-developer")
    result = run(
        """
        import boto3

        def test_own_clients(ecrsim_env, ecr):
            boto3.client("ecr").create_repository(repositoryName="app")
            assert len(ecr.describe_repositories()["repositories"]) == 1
            assert boto3.client("sts").get_caller_identity()["Account"] == "000000000000"
            assert ecrsim_env["AWS_DEFAULT_REGION"] == boto3.client("ecr").meta.region_name
        """
    )
    result.assert_outcomes(passed=1)
