"""Command lines for a person to copy: from the current folder they reach this installation and its data folder."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from muniment.settings import Settings, default_data_dir

PROGRAM = "muniment"


def command(settings: Settings, subcommand: str, *arguments: str) -> str:
    """A call of ``muniment``, quoted for a shell. It names the data folder unless that is the default one."""
    default = settings.data_dir == default_data_dir().resolve()
    folder = () if default else ("-d", _from_here(settings.data_dir))
    return shlex.join([*_program(), subcommand, *folder, *arguments])


def again(words: Sequence[str], data_dir: Path | None, url: str | None) -> str:
    """Another call that reaches the gateway of this one, given what this one was told of it."""
    folder = ("-d", str(data_dir)) if data_dir is not None else ()
    return shlex.join([*_program(), *words, *folder, *(("--url", url) if url is not None else ())])


def _program() -> list[str]:
    """`muniment` if a shell finds this very installation by it, else its script's path; without a script the module."""
    # the script that was called may lie elsewhere than the interpreter: `pip install --user`
    places = (Path(sys.argv[0]).absolute(), Path(sys.executable).with_name(PROGRAM))
    script = next((place for place in places if place.name == PROGRAM and place.is_file()), None)
    if script is None:
        return [_from_here(Path(sys.executable)), "-m", "muniment.cli"]
    found = shutil.which(PROGRAM)
    if found is not None and script.samefile(found):
        return [PROGRAM]
    path = _from_here(script)
    return [path if "/" in path else f"./{path}"]


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
