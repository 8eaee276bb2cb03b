"""Calls that the client's tests share: a request with its pictures, as a worker makes it, and a single download."""

from __future__ import annotations

from typing import Any

from kontext_lab.client import KontextClient
from kontext_lab.errors import OutputUnavailable
from kontext_lab.lab.worker import Worker
from kontext_lab.request import EditRequest
from kontext_lab.request.attempt import Answer, Attempt


class _OpenPermit:
    """A permit that nobody took, without a folder."""

    attempt_folder = None

    def take(self) -> bool:
        return True


def edit(client: KontextClient, request: EditRequest, request_id: str = "kl-1") -> Answer:
    """Send one request and bring its pictures; raises as `post` does."""
    return client.collect(client.post(request, request_id), request)


def attempt(client: KontextClient, request: EditRequest, request_id: str) -> Attempt:
    """Let a worker make one attempt: every error of the service is inside it."""
    permit: Any = _OpenPermit()
    return Worker(client).send(request, request_id, permit)


def fetch_output(client: KontextClient, url: str) -> bytes:
    """Download one output; an OutputUnavailable with its `reason` says why that failed."""
    download = client._downloads.output(url, client.settings.read_timeout)
    if download.reason is not None:
        error = OutputUnavailable(f"the output could not be downloaded: {download.note}")
        error.reason = download.reason  # type: ignore[attr-defined]
        raise error
    return download.data
