"""Who may listen where: loopback needs no token, every other address does."""

import ipaddress
import os
import secrets
import tempfile
from pathlib import Path

from muniment.errors import InvalidValue, TokenRequired
from muniment.settings import MIN_TOKEN_LENGTH, Settings


def is_loopback(host: str) -> bool:
    """Whether an address, or the name localhost, is reached from this host alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def resolve_token(settings: Settings) -> str | None:
    """The token that requests must carry, or None on loopback without one.

    Makes ``token_file`` (mode 0600, random content) when it is set and missing. Raises TokenRequired when the
    gateway would listen elsewhere without one, InvalidValue when the file holds less than a token.
    """
    if settings.token is not None:
        return settings.token
    if settings.token_file is not None:
        return _from_file(settings.token_file.expanduser())
    if not is_loopback(settings.host):
        raise TokenRequired(settings.host)
    return None


def _from_file(path: Path) -> str:
    if not path.exists():
        _make(path)
    token = path.read_text(encoding="utf-8").strip()
    if len(token) < MIN_TOKEN_LENGTH:
        raise InvalidValue("MUNIMENT_TOKEN_FILE", str(path), f"it holds fewer than {MIN_TOKEN_LENGTH} characters")
    return token


def _make(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, draft = tempfile.mkstemp(dir=path.parent)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(draft, path)  # atomic and never over another process's token: both then read the same one
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
