"""A runtime of its own for each test, webhooks, and moto as a server."""

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from ecrsim.core.runtime import Runtime
from ecrsim.delivery.pump import Pump
from tests.answers import REGION
from tests.delivery.receivers import Receiver, new_runtime


@pytest.fixture
def runtime(tmp_path) -> Iterator[Runtime]:
    runtime = new_runtime(tmp_path)
    yield runtime
    runtime.close()


@pytest.fixture
def start(runtime) -> Iterator[Callable[..., Pump]]:
    """`start()`: a pump of this runtime, or of another one, that is stopped when the test ends."""
    pumps = []

    def start(of: Runtime = runtime, **settings: Any) -> Pump:
        pump = Pump(of, **settings)
        pumps.append(pump)
        pump.start()
        return pump

    yield start
    for pump in pumps:
        pump.stop()


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """`receive(respond)`: a webhook that is up."""
    receivers = []

    def receive(*settings: Any, **more: Any) -> Receiver:
        receivers.append(Receiver(*settings, **more).up())
        return receivers[-1]

    yield receive
    for receiver in receivers:
        receiver.down()


@pytest.fixture(scope="session")
def _moto() -> Iterator[str]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            import jsonpath_ng  # noqa: F401  # rules with targets need it
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            pytest.skip(f"moto's server cannot run here: {error}")
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Aws:
    """moto at `url`, with clients of its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.events = self._client("events")
        self.sqs = self._client("sqs")

    def _client(self, service: str) -> Any:
        keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
        return boto3.client(service, endpoint_url=self.url, region_name=REGION, **keys)

    def queue(self, name: str, **attributes: str) -> tuple[str, str]:
        """A new queue: URL and ARN."""
        url = self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
        return url, self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]

    def read(self, url: str) -> list[dict[str, Any]]:
        """Messages that are in the queue, which has none of them afterwards."""
        found = []
        while messages := self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, AttributeNames=["All"]).get(
            "Messages"
        ):
            for message in messages:
                self.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
            found.extend(messages)
        return found


@pytest.fixture
def aws(_moto) -> Aws:
    import requests

    requests.post(f"{_moto}/moto-api/reset", timeout=10).raise_for_status()
    return Aws(_moto)
