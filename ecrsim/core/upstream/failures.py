"""Why an upstream gave nothing. The texts are for logs and for who reads an answer; they hold no credentials."""

from __future__ import annotations


class UpstreamError(Exception):
    """The upstream gave nothing that can be used."""


class UpstreamNotAllowed(UpstreamError):
    """ecrsim was not told that it may contact this host, and has not."""


class UpstreamNotFound(UpstreamError):
    """There is no such image or blob (404)."""


class UpstreamDenied(UpstreamError):
    """The credentials do not do, or there are none (401, 403)."""


class UpstreamBusy(UpstreamError):
    """Too many requests (429). `retry_after`: seconds that the upstream asks for, None when it does not say."""

    def __init__(self, text: str, retry_after: float | None) -> None:
        super().__init__(text)
        self.retry_after = retry_after


class UpstreamUnavailable(UpstreamError):
    """It cannot be reached, went silent, broke off, or answers 5xx, and trying again did not help."""


class UpstreamInvalid(UpstreamError):
    """It answers, and not as a registry: wrong bytes, HTML, too much, redirects without end.

    `status`: of an answer that was no success, None where it was not that.
    """

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
