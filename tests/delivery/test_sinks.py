"""Each kind of target: what arrives there, what counts as a failure, and what order holds."""

import errno
import hashlib
import hmac
import json
import os
import socket
import threading

import pytest

from ecrsim.core.neighbours import NeighbourError
from ecrsim.delivery import webhook
from ecrsim.delivery.parcels import Refused, Undelivered
from ecrsim.delivery.reach import Reach
from ecrsim.delivery.sinks import ENTRY_BYTES, EventBridgeSink, FileSink, SqsSink, _queue_access, sink_of
from ecrsim.delivery.targets import read
from ecrsim.delivery.webhook import WebhookSink, signature
from tests.answers import ACCOUNT, REGION
from tests.delivery.receivers import Receiver, parcel, tag_of

NOW = 1_700_000_123_456


def sink_for(tmp_path, **entry):
    reach = Reach(tmp_path, tmp_path)
    (target,) = read({"targets": [{"name": "t", **entry}]}, reach).targets
    return sink_of(target, reach, REGION, lambda: NOW)


def file_sink(file):
    return FileSink(str(file), Reach(file.parent, file.parent))


def tags_in(file):
    return [tag_of(json.loads(line)) for line in file.read_text().splitlines()]


class TestFile:
    @pytest.fixture
    def file(self, tmp_path):
        return tmp_path / "events.jsonl"

    def test_one_line_for_each_event(self, file):
        sink = file_sink(file)
        given = [parcel(1, "a"), parcel(2, "b")]
        assert sink.take(given) == 2
        sink.deliver(given)
        sink.deliver([parcel(3, "c")])
        assert tags_in(file) == ["a", "b", "c"]
        assert json.loads(file.read_text().splitlines()[0]) == given[0].envelope

    def test_a_path_is_below_the_data_directory_unless_it_is_absolute(self, tmp_path, monkeypatch):
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home").mkdir()
        for path in ("one", str(tmp_path / "home" / "two"), "~/three"):
            sink_for(tmp_path, type="file", path=path).deliver([parcel(1)])
        assert (tmp_path / "one").is_file()
        assert sorted(each.name for each in (tmp_path / "home").iterdir()) == ["three", "two"]

    def test_no_link_leads_out_of_the_directory(self, tmp_path):
        inside, outside = tmp_path / "inside", tmp_path / "outside"
        inside.mkdir()
        outside.mkdir()
        (inside / "elsewhere").symlink_to(outside)
        (inside / "log").symlink_to(outside / "log")
        for path in ("elsewhere/log", "log", str(outside / "log"), "../outside/log"):
            with pytest.raises(Undelivered, match="leads out of"):
                FileSink(path, Reach(inside, inside)).deliver([parcel(1)])
        assert list(outside.iterdir()) == []

    def test_nothing_of_ecrsims_own_is_written_to(self, tmp_path):
        (tmp_path / "log").symlink_to(tmp_path / "ecrsim.db")
        for path in ("ecrsim.db", "log", "blobs/x"):
            with pytest.raises(Undelivered, match="ecrsim's own"):
                FileSink(path, Reach(tmp_path, tmp_path)).deliver([parcel(1)])
        assert not (tmp_path / "ecrsim.db").exists()

    def test_another_directory_is_named_by_a_setting(self, tmp_path):
        data, logs = tmp_path / "data", tmp_path / "logs"
        logs.mkdir()
        FileSink("out", Reach(logs, data)).deliver([parcel(1, "a")])
        assert tags_in(logs / "out") == ["a"]
        assert (logs / "out").stat().st_mode & 0o077 == 0

    def test_a_torn_line_spoils_only_itself(self, file):
        file.write_bytes(parcel(1, "a").body + b"\n" + parcel(2, "b").body[:40])
        file_sink(file).deliver([parcel(2, "b"), parcel(3, "c")])
        lines = file.read_bytes().split(b"\n")
        assert [lines[0], *lines[2:]] == [parcel(1, "a").body, parcel(2, "b").body, parcel(3, "c").body, b""]

    def test_a_file_that_was_moved_away_is_made_anew(self, file):
        sink = file_sink(file)
        sink.deliver([parcel(1, "a")])
        file.rename(file.with_suffix(".1"))
        sink.deliver([parcel(2, "b")])
        assert tags_in(file) == ["b"]

    def test_something_else_is_left_alone(self, file):
        file.write_text("export PATH=/bin\n")
        with pytest.raises(Undelivered, match="holds something else than JSON lines"):
            file_sink(file).deliver([parcel(1)])
        assert file.read_text() == "export PATH=/bin\n"

    def test_a_directory_that_is_missing(self, tmp_path):
        with pytest.raises(Undelivered, match="No such file or directory") as caught:
            file_sink(tmp_path / "none" / "file").deliver([parcel(1)])
        assert caught.value.done == 0

    def test_a_disk_that_fills_up_in_the_middle(self, file, monkeypatch):
        space = len(parcel(1, "a").body) + 1 + 30
        really_write = os.write

        def write(descriptor, data):
            nonlocal space
            if not space:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            count = really_write(descriptor, data[:space])
            space -= count
            return count

        sink = file_sink(file)
        given = [parcel(1, "a"), parcel(2, "b"), parcel(3, "c")]
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", write)
            with pytest.raises(Undelivered, match="No space left") as caught:
                sink.deliver(given)
        assert caught.value.done == 1
        sink.deliver(given[1:])
        lines = file.read_bytes().splitlines()
        assert [lines[0], *lines[2:]] == [each.body for each in given]


class TestWebhook:
    @pytest.fixture
    def hook(self, receive):
        return receive()

    def test_what_is_sent(self, hook, tmp_path):
        sink = sink_for(tmp_path, type="webhook", url=hook.url, secret="s3cret")
        given = parcel(7, "a")
        assert sink.take([given, parcel(8)]) == 1
        sink.deliver([given])
        sink.rest()
        (sent,) = hook.taken
        assert sent.path == "/events?key=hidden"
        assert json.loads(sent.body) == given.envelope
        assert sent.headers["Content-Type"] == "application/json"
        assert sent.headers["X-Ecrsim-Event"] == "ECR Image Action"
        assert sent.headers["X-Ecrsim-Delivery"] == given.event.event_id == given.envelope["id"]
        assert sent.headers["X-Ecrsim-Sequence"] == "7"
        assert sent.headers["X-Ecrsim-Timestamp"] == "1700000123"
        expected = hmac.new(b"s3cret", b"1700000123." + sent.body, hashlib.sha256).hexdigest()
        assert sent.headers["X-Ecrsim-Signature"] == f"sha256={expected}"

    def test_without_a_secret_nothing_is_signed(self, hook, tmp_path):
        sink = sink_for(tmp_path, type="webhook", url=hook.url)
        sink.deliver([parcel(1)])
        sink.rest()
        assert "X-Ecrsim-Signature" not in hook.taken[0].headers

    def test_the_timestamp_is_signed_as_well(self):
        assert signature(b"k", "1", b"body") != signature(b"k", "2", b"body")

    def test_one_connection_carries_many(self, hook):
        sink = WebhookSink(hook.url, None, lambda: NOW)
        for number in range(5):
            sink.deliver([parcel(number, str(number))])
        assert (hook.tags, hook.connections) == (["0", "1", "2", "3", "4"], 1)
        sink.rest()
        sink.deliver([parcel(5, "5")])
        sink.rest()
        assert hook.connections == 2

    @pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
    def test_success(self, receive, status):
        hook = receive(lambda _: status)
        sink = WebhookSink(hook.url, None, lambda: NOW)
        sink.deliver([parcel(1)])
        sink.rest()
        assert len(hook.taken) == 1

    @pytest.mark.parametrize("status", [400, 401, 410, 429, 500, 503])
    def test_failure(self, receive, status):
        sink = WebhookSink(receive(lambda _: status).url, None, lambda: NOW)
        with pytest.raises(Undelivered, match=f"^answered {status} "):
            sink.deliver([parcel(1)])
        sink.rest()

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, receive, status):
        other = receive()
        hook = receive(lambda _: status, headers={"Location": other.url})
        sink = WebhookSink(hook.url, None, lambda: NOW)
        with pytest.raises(Undelivered, match=f"answered {status} .*; redirects are not followed"):
            sink.deliver([parcel(1)])
        sink.rest()
        assert (len(hook.asked), other.asked) == (1, [])

    def test_no_proxy_is_asked(self, hook, receive, monkeypatch):
        proxy = receive()
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, proxy.url)
        monkeypatch.delenv("no_proxy", raising=False)
        sink = WebhookSink(hook.url, None, lambda: NOW)
        sink.deliver([parcel(1)])
        sink.rest()
        assert (len(hook.taken), proxy.asked) == (1, [])

    def test_nobody_listens(self):
        hook = Receiver().up()
        hook.down()
        with pytest.raises(Undelivered, match=r"^Connection refused$"):
            WebhookSink(hook.url, None, lambda: NOW).deliver([parcel(1)])

    def test_a_connection_that_rested_too_long_is_made_anew(self):
        """The receiver closes it between two deliveries, without a word."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            bodies = []

            def serve():
                for _ in range(2):
                    connection, _ = listener.accept()
                    with connection, connection.makefile("rb") as stream:
                        bodies.append(read_request(stream))
                        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            sink = WebhookSink(url, None, lambda: NOW)
            sink.deliver([parcel(1, "a")])
            sink.deliver([parcel(2, "b")])
            thread.join(5)
            sink.rest()
        assert [tag_of(json.loads(body)) for body in bodies] == ["a", "b"]

    @pytest.mark.parametrize("beginning", [b"", b"HTTP/1.1 200 OK\r\n"], ids=["silent", "trickling"])
    def test_an_answer_that_does_not_end(self, monkeypatch, beginning):
        """Also when each piece of it comes in time: the whole answer has ten seconds, here half of one."""
        monkeypatch.setattr(webhook, "TIMEOUT", 0.5)
        closed = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve():
                connection, _ = listener.accept()
                with connection:
                    connection.sendall(beginning)
                    pause = 0.1 if beginning else 5
                    try:
                        while not closed.wait(pause):
                            connection.sendall(b"A: b\r\n")
                    except OSError:
                        return

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            sink = WebhookSink(f"http://127.0.0.1:{listener.getsockname()[1]}/", None, lambda: NOW)
            with pytest.raises(Undelivered, match=r"^no answer within 0\.5 s$"):
                sink.deliver([parcel(1)])
            closed.set()
            thread.join(5)

    def test_no_http_at_all(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve():
                connection, _ = listener.accept()
                with connection, connection.makefile("rb") as stream:
                    read_request(stream)
                    connection.sendall(b"SSH-2.0-OpenSSH\r\n\r\n")

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            sink = WebhookSink(f"http://127.0.0.1:{listener.getsockname()[1]}/", None, lambda: NOW)
            with pytest.raises(Undelivered, match="SSH"):
                sink.deliver([parcel(1)])
            thread.join(5)


def read_request(stream):
    length = 0
    while (line := stream.readline().strip()) != b"":
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return stream.read(length)


class Bus:
    """Stands for a Neighbour: takes entries, and fails those whose tag it is told to."""

    def __init__(self, *failing):
        self.failing = set(failing)
        self.calls = []
        self.taken = []

    def call(self, operation, *, Entries):  # noqa: N803
        assert operation == "put_events"
        assert len(Entries) <= 10
        results = []
        self.calls.append([tag_of({"detail": json.loads(entry["Detail"])}) for entry in Entries])
        for tag in self.calls[-1]:
            if tag in self.failing:
                results.append({"ErrorCode": "InternalFailure", "ErrorMessage": "try again"})
            else:
                self.taken.append(tag)
                results.append({"EventId": tag})
        return {"FailedEntryCount": len(self.failing & set(self.calls[-1])), "Entries": results}


def drain(sink, parcels):
    """Deliver what can be; the reason of the first failure, or None."""
    while parcels:
        count = sink.take(parcels)
        try:
            sink.deliver(parcels[:count])
        except Undelivered as error:
            del parcels[: error.done]
            return str(error)
        del parcels[:count]
    return None


class TestEventBridge:
    def test_one_entry_of_each_repository_in_a_call(self):
        bus = Bus()
        order = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("c1", "c"), ("b2", "b"), ("b3", "b")]
        parcels = [parcel(number, tag, repository=name) for number, (tag, name) in enumerate(order, 1)]
        assert drain(EventBridgeSink(bus, None, None), parcels) is None
        assert bus.calls == [["a1", "b1"], ["a2", "c1", "b2"], ["b3"]]

    def test_ten_entries_in_a_call(self):
        bus = Bus()
        drain(EventBridgeSink(bus, None, None), [parcel(n, str(n), repository=f"r{n}") for n in range(1, 24)])
        assert [len(call) for call in bus.calls] == [10, 10, 3]

    def test_less_than_256_kb_in_a_call(self):
        bus = Bus()
        large = {"image_digest": "x" * 100_000}
        drain(EventBridgeSink(bus, None, None), [parcel(n, str(n), repository=f"r{n}", **large) for n in range(1, 6)])
        assert bus.calls == [["1", "2"], ["3", "4"], ["5"]]

    def test_an_entry_that_is_too_large_goes_alone_and_is_refused(self):
        bus = Bus()
        sink = EventBridgeSink(bus, None, None)
        small, large = parcel(1, repository="a"), parcel(2, repository="b", image_digest="x" * ENTRY_BYTES)
        assert sink.take([small, large]) == 1
        assert sink.take([large, small]) == 1
        with pytest.raises(Refused, match=r"^EventBridge takes less than 262144 bytes, and this is 262\d{3}$"):
            sink.deliver([large])
        assert bus.calls == []

    def test_an_entry_in_the_middle_fails(self):
        """Nothing later of its repository went before it, and what was taken behind it is not sent again."""
        bus = Bus("b1")
        sink = EventBridgeSink(bus, None, None)
        order = [("a1", "a"), ("b1", "b"), ("c1", "c"), ("c2", "c"), ("b2", "b")]
        parcels = [parcel(number, tag, repository=name) for number, (tag, name) in enumerate(order, 1)]
        assert drain(sink, parcels) == "InternalFailure: try again"
        assert [tag_of(each.envelope) for each in parcels] == ["b1", "c1", "c2", "b2"]
        assert drain(sink, parcels) == "InternalFailure: try again"
        assert bus.taken == ["a1", "c1"]
        bus.failing.clear()
        assert drain(sink, parcels) is None
        assert bus.taken == ["a1", "c1", "b1", "c2", "b2"]
        assert bus.calls == [["a1", "b1", "c1"], ["b1"], ["b1"], ["c2", "b2"]]

    def test_two_entries_fail(self):
        bus = Bus("b1", "d1")
        sink = EventBridgeSink(bus, None, None)
        parcels = [parcel(number, f"{name}1", repository=name) for number, name in enumerate("abcde", 1)]
        assert drain(sink, parcels) == "InternalFailure: try again"
        bus.failing = {"d1"}
        assert drain(sink, parcels) == "InternalFailure: try again"
        assert [tag_of(each.envelope) for each in parcels] == ["d1", "e1"]
        bus.failing.clear()
        assert drain(sink, parcels) is None
        assert sorted(bus.taken) == ["a1", "b1", "c1", "d1", "e1"]

    @pytest.mark.parametrize("answer", [{}, {"FailedEntryCount": 0, "Entries": []}])
    def test_an_answer_without_results(self, answer):
        class Odd:
            def call(self, operation, **parameters):
                return answer

        with pytest.raises(Undelivered, match="PutEvents answered 0 results for 1 entries"):
            EventBridgeSink(Odd(), None, None).deliver([parcel(1)])

    def test_moto_brings_it_to_a_queue(self, aws, tmp_path):
        url, arn = aws.queue("q")
        aws.events.put_rule(Name="ecr", EventPattern=json.dumps({"source": ["aws.ecr"]}))
        aws.events.put_targets(Rule="ecr", Targets=[{"Id": "1", "Arn": arn}])
        sink = sink_for(tmp_path, type="eventbridge", endpoint_url=aws.url)
        given = [parcel(1, "a"), parcel(2, "b")]
        assert drain(sink, list(given)) is None
        found = [json.loads(message["Body"]) for message in aws.read(url)]
        assert [tag_of(each) for each in found] == ["a", "b"]
        for member in ("source", "detail-type", "detail", "region"):
            assert found[0][member] == given[0].envelope[member]

    def test_a_bus_of_a_name_and_a_source_of_ones_own(self, aws, tmp_path):
        url, arn = aws.queue("q")
        aws.events.create_event_bus(Name="images")
        pattern = json.dumps({"source": ["my.ecr"]})
        aws.events.put_rule(Name="ecr", EventBusName="images", EventPattern=pattern)
        aws.events.put_targets(Rule="ecr", EventBusName="images", Targets=[{"Id": "1", "Arn": arn}])
        entry = {"type": "eventbridge", "endpoint_url": aws.url, "event_bus": "images", "source": "my.ecr"}
        sink_for(tmp_path, **entry).deliver([parcel(1)])
        sink_for(tmp_path, **{**entry, "source": "other"}).deliver([parcel(2)])
        (message,) = aws.read(url)
        assert json.loads(message["Body"])["source"] == "my.ecr"

    def test_a_bus_that_does_not_exist(self, aws, tmp_path):
        sink = sink_for(tmp_path, type="eventbridge", endpoint_url=aws.url, event_bus="none")
        with pytest.raises(Undelivered, match="ResourceNotFoundException"):
            sink.deliver([parcel(1)])


class TestSqs:
    def test_a_message_is_the_envelope(self, aws, tmp_path):
        url, _ = aws.queue("q")
        sink = sink_for(tmp_path, type="sqs", queue_url=url)
        given = parcel(1, "a")
        assert sink.take([given, parcel(2)]) == 1
        sink.deliver([given])
        (message,) = aws.read(url)
        assert json.loads(message["Body"]) == given.envelope

    def test_a_fifo_queue_keeps_the_order_of_each_repository_and_drops_doubles(self, aws, tmp_path):
        url, _ = aws.queue("q.fifo", FifoQueue="true")
        sink = sink_for(tmp_path, type="sqs", queue_url=url, endpoint_url=aws.url)
        for sequence in (1, 2, 2, 3, 1):
            sink.deliver([parcel(sequence, str(sequence))])
        sink.deliver([parcel(4, "4", repository=None)])
        sink.deliver([parcel(5, "5", repository="x" * 150)])
        messages = aws.read(url)
        assert [tag_of(json.loads(message["Body"])) for message in messages] == ["1", "2", "3", "4", "5"]
        groups = [message["Attributes"]["MessageGroupId"] for message in messages]
        assert groups[:4] == [f"{ACCOUNT}/app"] * 3 + [ACCOUNT]
        assert groups[4] == hashlib.sha256(f"{ACCOUNT}/{'x' * 150}".encode()).hexdigest()

    def test_a_message_that_is_too_long_is_refused(self, aws, tmp_path):
        url, _ = aws.queue("q", MaximumMessageSize="1024")
        with pytest.raises(Refused, match="must be shorter than 1024 bytes"):
            sink_for(tmp_path, type="sqs", queue_url=url).deliver([parcel(1, "x" * 1024)])

    @pytest.mark.parametrize(
        ("code", "text", "failure"),
        [
            ("InvalidMessageContents", "bad characters", Refused),
            ("InvalidParameterValue", "some other parameter", Undelivered),
            ("AccessDenied", "no", Undelivered),
            ("", "Could not connect to the endpoint URL", Undelivered),
        ],
    )
    def test_what_cannot_be_and_what_is_tried_again(self, code, text, failure):
        class Refusing:
            def call(self, operation, **parameters):
                raise NeighbourError(text, code)

        with pytest.raises(failure, match=text):
            SqsSink(Refusing(), "http://127.0.0.1:1/q").deliver([parcel(1)])

    def test_a_queue_that_does_not_exist(self, aws, tmp_path):
        with pytest.raises(Undelivered, match="NonExistentQueue"):
            sink_for(tmp_path, type="sqs", queue_url=f"{aws.url}/123456789012/none").deliver([parcel(1)])

    @pytest.mark.parametrize(
        ("settings", "endpoint_url", "region"),
        [
            ({"queue_url": "https://sqs.eu-west-1.amazonaws.com/1/q"}, None, "eu-west-1"),
            ({"queue_url": "https://eu-west-1.queue.amazonaws.com/1/q"}, None, "eu-west-1"),
            ({"queue_url": "https://sqs.cn-north-1.amazonaws.com.cn/1/q"}, None, "cn-north-1"),
            ({"queue_url": "https://sqs.eu-west-1.amazonaws.com/1/q", "region": "us-west-2"}, None, "us-west-2"),
            ({"queue_url": "http://127.0.0.1:4566/1/q"}, "http://127.0.0.1:4566", REGION),
            ({"queue_url": "http://moto:5000/1/q", "endpoint_url": "http://x:1"}, "http://x:1", REGION),
        ],
    )
    def test_where_a_queue_is(self, settings, endpoint_url, region):
        access = _queue_access(settings, REGION)
        assert (access.endpoint_url, access.region) == (endpoint_url, region)
