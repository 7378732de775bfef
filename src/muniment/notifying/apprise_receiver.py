"""Receivers that Apprise knows: desktops, chats, mail and some hundred services, each by a URL of its own scheme."""

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, cast

from apprise import Apprise, AppriseAsset, NotifyBase, NotifyFormat, NotifyType, PersistentStoreMode
from apprise import plugins as apprise_plugins

from muniment.notices import NoticeKind
from muniment.notifying.message import Message
from muniment.notifying.receiver import NotDelivered, scrubbed

log = logging.getLogger(__name__)
# it logs whole URLs, with what is secret in them; why something failed is told by us
logging.getLogger("apprise").propagate = False
logging.getLogger("apprise").addHandler(logging.NullHandler())
APPRISE_SECONDS = 20.0  # then nobody waits for it any longer
APPRISE_THREADS = 8
# options by which a service would read, or write, a file of this server
FILE_OPTIONS = frozenset({"template", "keyfile", "subfile", "pgppub", "pgpprv"})
UNKNOWN = "no service has this scheme, something of its URL is missing, or this system has not what it needs"


class AppriseReceiver:
    """Each try has a daemon thread of its own: the library blocks, and what hangs must not keep the process alive."""

    _slots = threading.BoundedSemaphore(APPRISE_THREADS)  # of the whole process

    def __init__(self, url: str, *, may_read_files: bool, seconds: float = APPRISE_SECONDS) -> None:
        """Raises ValueError, which repeats nothing of the URL."""
        self._url = url
        self._seconds = seconds
        self._apprise = Apprise(asset=_asset())
        self._apprise.add(_plugin(url, may_read_files=may_read_files))

    async def send(self, message: Message) -> None:
        slots = self._slots
        if not slots.acquire(blocking=False):
            raise NotDelivered("too many others hang", retryable=True)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()

        def tell(reason: str | None) -> None:
            if not answer.done():
                answer.set_result(reason)

        def run() -> None:
            reason: str | None = "it broke off"
            try:
                reason = self._try(message)
            finally:
                slots.release()
                _call_soon(loop, tell, reason)

        threading.Thread(target=run, name="notify", daemon=True).start()
        try:
            async with asyncio.timeout(self._seconds):
                reason = await answer
        except TimeoutError as error:
            raise NotDelivered(f"no answer in {self._seconds:.0f} s", retryable=True) from error
        if reason is not None:
            raise NotDelivered(reason, retryable=True)

    def _try(self, message: Message) -> str | None:
        """Why it was not delivered."""
        result = self._apprise.notify(
            body=message.full_text,
            title=message.title,
            notify_type=_notify_type(message),
            body_format=NotifyFormat.TEXT,
        )
        if result:
            return None
        said = [str(entry.message) for entry in result.logs()]
        return scrubbed(said[0], self._url) if said else "the service did not take it"


def _plugin(url: str, *, may_read_files: bool) -> NotifyBase:
    """Raises ValueError."""
    url_to_dict = cast(Callable[[str], dict[str, Any] | None], apprise_plugins.url_to_dict)  # untyped
    found = url_to_dict(url)
    # an unknown scheme may still be guessed to be some service's own address
    if not found or found.get("schema") is None:
        raise ValueError(UNKNOWN)
    files = FILE_OPTIONS & {name.lower() for name in found.get("qsd") or ()}
    if files and not may_read_files:
        raise ValueError(f"'{min(files)}' names a file of the server, which only MUNIMENT_NOTIFY may")
    plugin = Apprise.instantiate(found, asset=_asset())
    if plugin is None:
        raise ValueError(UNKNOWN)
    return plugin


def _asset() -> AppriseAsset:
    """Nothing is written to the disk, no redirect followed, no picture fetched by whoever reads the message."""
    return AppriseAsset(
        app_id="Muniment",
        app_desc="Muniment",
        app_url="",
        image_url_mask="",
        image_url_logo="",
        http_redirects=False,
        async_mode=False,
        pgp_autogen=False,
        pem_autogen=False,
        service_timeout=0,  # its own deadlines would use threads that the process waits for at its end
        storage_mode=PersistentStoreMode.MEMORY,
        allow_templates=False,
    )


def _notify_type(message: Message) -> NotifyType:
    if message.kind is NoticeKind.FAILED:
        return NotifyType.FAILURE
    if message.kind is NoticeKind.CANCELLED or message.with_errors:
        return NotifyType.WARNING
    return NotifyType.SUCCESS if message.kind is NoticeKind.COMPLETE else NotifyType.INFO


def _call_soon(loop: asyncio.AbstractEventLoop, callback: Callable[[str | None], None], reason: str | None) -> None:
    try:
        loop.call_soon_threadsafe(callback, reason)
    except RuntimeError:  # the loop has ended meanwhile
        log.debug("nobody waits for a notification any more")
