"""Webhooks of our own: one POST of JSON, signed, never redirected."""

import asyncio
import hmac
import json
import time
from collections.abc import Callable
from hashlib import sha256

import httpx

import muniment
from muniment.access import is_loopback
from muniment.notifying.message import Message
from muniment.notifying.receiver import NotDelivered, scrubbed

TIMEOUT_SECONDS = 10.0
TEST = "test"  # in place of an event's type
BUSY = frozenset({408, 425, 429})


def body_of(message: Message) -> bytes:
    content = message.model_dump(mode="json", exclude={"with_errors"})
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """HMAC-SHA256 of ``timestamp.body``, in hex: a receiver that checks both cannot be sent an old message again."""
    return hmac.new(secret.encode(), timestamp.encode() + b"." + body, sha256).hexdigest()


class Webhook:
    def __init__(
        self,
        url: str,
        secret: str | None,
        *,
        clock: Callable[[], float] = time.time,
        seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._url = url
        self._secret = secret
        self._clock = clock
        self._seconds = seconds

    async def send(self, message: Message) -> None:
        """A full turn of ten seconds at most: an answer that drips in does not prolong it. Raises NotDelivered."""
        body = body_of(message)
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._post(body, self._headers(message, body))
        except TimeoutError as error:
            raise NotDelivered(f"no answer in {self._seconds:.0f} s", retryable=True) from error
        except (httpx.InvalidURL, ValueError) as error:  # ValueError: a name that no resolver takes
            raise NotDelivered("its URL is none", retryable=False) from error
        except (httpx.HTTPError, OSError) as error:
            detail = scrubbed(str(error), self._url) or type(error).__name__
            raise NotDelivered(f"no connection: {detail}", retryable=True) from error
        _judge(response)

    async def _post(self, body: bytes, headers: dict[str, str]) -> httpx.Response:
        # a proxy does not know this host's loopback
        trust_env = not is_loopback(httpx.URL(self._url).host)
        async with (
            httpx.AsyncClient(timeout=self._seconds, follow_redirects=False, trust_env=trust_env) as client,
            client.stream("POST", self._url, content=body, headers=headers) as response,
        ):
            return response  # its status is enough

    def _headers(self, message: Message, body: bytes) -> dict[str, str]:
        timestamp = str(int(self._clock()))
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"muniment/{muniment.__version__}",
            "X-Muniment-Event": message.event.type.value if message.event else TEST,
            "X-Muniment-Delivery": message.delivery,
            "X-Muniment-Timestamp": timestamp,
        }
        if self._secret:
            headers["X-Muniment-Signature"] = "sha256=" + signature(self._secret, timestamp, body)
        return headers


def _judge(response: httpx.Response) -> None:
    status = response.status_code
    if response.is_success:
        return
    if response.has_redirect_location:
        raise NotDelivered(f"it redirects (status {status}), which is not followed", retryable=False)
    retryable = status >= 500 or status in BUSY
    raise NotDelivered(f"status {status}", retryable=retryable, retry_after=_retry_after(response))


def _retry_after(response: httpx.Response) -> float | None:
    """In seconds; as a date it is not worth the code."""
    given = response.headers.get("Retry-After", "")
    return float(given) if given.isascii() and given.isdigit() else None
