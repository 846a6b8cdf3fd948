"""Requests as WSGI servers hand them over: where a body ends, and what becomes of one that nobody wanted."""

import io

import pytest

from ecrsim.core.web import Answer, Request

REFUSAL = Answer(404, [("Content-Length", "4")], b"none")


class Wire(io.BytesIO):
    """What lies on a connection: a body, and behind it the next request, which must not be touched."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body + b"GET / HTTP/1.1")
        self.length = len(body)

    def read(self, size: int | None = -1, /) -> bytes:
        assert size is not None
        assert 0 <= size <= self.length - self.tell(), "the next request was touched"
        return super().read(size)


class Broken:
    def read(self, size: int, /) -> bytes:
        raise OSError("connection reset by peer")


def request(source: object, **environ: str) -> Request:
    return Request.of_wsgi({"REQUEST_METHOD": "PUT", "PATH_INFO": "/", "wsgi.input": source, **environ})


def sent(body: bytes, **environ: str) -> Request:
    return request(Wire(body), CONTENT_LENGTH=str(len(body)), **environ)


def test_a_body_ends_where_its_length_says():
    asked = sent(b"0123456789")
    assert [asked.body.read(4), asked.body.read(4), asked.body.ended] == [b"0123", b"4567", False]
    assert [asked.body.read(4), asked.body.ended, asked.body.read(4)] == [b"89", True, b""]
    assert sent(b"0123456789").read(10) == b"0123456789"


def test_a_request_without_length_has_no_body():
    asked = request(Broken())
    assert not asked.has_body
    assert asked.read(100) == b""


def test_a_chunked_body_ends_where_its_source_does():
    asked = request(io.BytesIO(b"0123456789"), HTTP_TRANSFER_ENCODING="chunked")
    assert asked.has_body
    assert [asked.body.read(6), asked.body.ended, asked.body.left] == [b"012345", False, None]
    assert [asked.body.read(6), asked.body.read(6), asked.body.ended, asked.body.left] == [b"6789", b"", True, 0]


def test_a_body_over_the_limit_is_not_read():
    asked = sent(b"0123456789")
    assert asked.read(9) is None
    assert asked.body.begun is False
    assert request(io.BytesIO(b"0123456789"), HTTP_TRANSFER_ENCODING="chunked").read(9) is None


def test_an_answer_to_a_body_that_was_read_is_left_alone():
    asked = sent(b"0123456789")
    asked.read(10)
    assert asked.settle(REFUSAL) is REFUSAL
    assert request(Broken()).settle(REFUSAL) is REFUSAL


def test_a_small_rest_is_read_before_the_answer():
    asked = sent(bytes(60_000))
    assert asked.settle(REFUSAL) is REFUSAL
    assert asked.body.ended


def test_a_large_rest_is_read_after_the_answer():
    asked = sent(bytes(1_000_000))
    settled = asked.settle(REFUSAL)
    assert (settled.status, settled.headers) == (REFUSAL.status, REFUSAL.headers)
    pieces = iter(settled.body)
    assert [next(pieces), asked.body.begun] == [b"none", False]
    assert [next(pieces, None), asked.body.ended] == [None, True]


def test_a_streamed_answer_comes_first_as_well():
    asked = sent(bytes(1_000_000))
    assert list(asked.settle(Answer(200, [], iter([b"one", b"two"]))).body) == [b"one", b"two"]
    assert asked.body.ended


def test_the_rest_of_a_stream_is_read_and_its_connection_closed():
    asked = request(io.BytesIO(bytes(200_000)), HTTP_TRANSFER_ENCODING="chunked")
    settled = asked.settle(Answer(404, [], b"none"))
    assert settled.headers == [("Connection", "close")]
    assert list(settled.body) == [b"none"]
    assert asked.body.ended


def test_a_body_that_waits_to_be_asked_for_is_never_read():
    asked = request(Broken(), CONTENT_LENGTH="1000", HTTP_EXPECT="100-continue")
    settled = asked.settle(Answer(401, [], b"none"))
    assert settled == Answer(401, [("Connection", "close")], b"none")


@pytest.mark.parametrize("length", ["1000", "1000000"])
def test_a_client_that_is_gone_is_no_error(length):
    settled = request(Broken(), CONTENT_LENGTH=length).settle(REFUSAL)
    assert b"".join([settled.body] if isinstance(settled.body, bytes) else settled.body) == b"none"
