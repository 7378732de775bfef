"""The base of every error, and the one shape in which it is shown."""

import re
from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel

IN_AN_ADDRESS = re.compile(r"(?<=://)\S*(?=@)|(?<=[?&]password=)[^&\s]*")


class ErrorBody(BaseModel):
    """The one shape in which an error leaves the product."""

    code: str
    message: str
    remedy: str
    retryable: bool = False


class MunimentError(Exception):
    """Base of every error that a user may see."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    message: ClassVar[str] = "Something failed inside Muniment: {detail}."
    remedy: ClassVar[str] = "See the server's log for this moment; if it repeats, report it with that log."

    def __init__(self, **values: object) -> None:
        # errors are answered to whoever calls, and logged: no password of a store's address may be among them
        self.values = {name: _without_password(value) for name, value in values.items()}
        self.text = self.message.format(**self.values)
        self.remedy_text = self.remedy.format(**self.values)
        super().__init__(f"{self.text} {self.remedy_text}")

    def body(self) -> ErrorBody:
        return ErrorBody(code=self.code, message=self.text, remedy=self.remedy_text, retryable=self.retryable)


class InternalError(MunimentError):
    """A fault of ours: nothing the caller did."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail=detail)


def _without_password(value: object) -> object:
    return IN_AN_ADDRESS.sub("***", value) if isinstance(value, str) else value


def names(values: Iterable[str]) -> str:
    return ", ".join(sorted(values)) or "none yet"
