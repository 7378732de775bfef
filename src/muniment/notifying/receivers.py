"""The receiver that a URL names: the gateway's log, a webhook of our own, or whatever Apprise knows."""

import logging

from muniment.errors import ReceiverRefused
from muniment.notices import CONSOLE, WEB_SCHEMES, NoticeKind, checked, masked
from muniment.notifying.apprise_receiver import AppriseReceiver
from muniment.notifying.message import Message, one_line
from muniment.notifying.receiver import Receiver
from muniment.notifying.webhook import Webhook

log = logging.getLogger(__name__)


class Console:
    """The log of the gateway, which `muniment-api` shows on its terminal."""

    async def send(self, message: Message) -> None:
        level = logging.WARNING if message.kind is NoticeKind.FAILED or message.with_errors else logging.INFO
        log.log(level, "%s: %s", one_line(message.title), " ".join(message.full_text.split("\n")))


def receiver_for(url: str, field: str, secret: str | None, *, may_read_files: bool = False) -> Receiver:
    """``field``: where the URL stands; ``secret`` signs webhooks. Raises ReceiverRefused, with the URL masked.

    ``may_read_files``: whoever gave the URL may have the server read its files (keys, templates).
    """
    url = checked(field, url)
    scheme = url.partition("://")[0].lower()
    if scheme in WEB_SCHEMES:
        return Webhook(url, secret)
    if scheme == CONSOLE:
        return Console()
    try:
        return AppriseReceiver(url, may_read_files=may_read_files)
    except ValueError as error:
        raise ReceiverRefused(field, masked(url), str(error)) from error
