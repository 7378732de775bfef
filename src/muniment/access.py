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
    gateway would listen elsewhere without one, InvalidValue when the file holds no token or cannot be used.
    """
    if settings.token is not None:
        return settings.token
    if settings.token_file is not None:
        file = settings.token_file.expanduser()
        _make_if_missing(file)
        return read_token(file)
    if not is_loopback(settings.host):
        raise TokenRequired(settings.host)
    return None


def read_token(path: Path) -> str:
    """Raises FileNotFoundError, and InvalidValue when the file cannot be read or holds less than a token."""
    try:
        token = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidValue("MUNIMENT_TOKEN_FILE", str(path), f"it cannot be read ({_reason(error)})") from error
    if len(token) < MIN_TOKEN_LENGTH:
        raise InvalidValue("MUNIMENT_TOKEN_FILE", str(path), f"it holds fewer than {MIN_TOKEN_LENGTH} characters")
    return token


def _make_if_missing(path: Path) -> None:
    try:
        if not path.exists():
            _make(path)
    except OSError as error:
        raise InvalidValue("MUNIMENT_TOKEN_FILE", str(path), f"it cannot be made ({_reason(error)})") from error


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else "it is not UTF-8"


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
