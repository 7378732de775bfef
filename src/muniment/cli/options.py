"""What several commands take on their command line, and the settings that come of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from muniment.settings import Settings, read

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", "-d", help="Folder of every store (MUNIMENT_DATA_DIR).", show_default=False)
]
Url = Annotated[str | None, typer.Option("--url", help="The gateway to talk to (MUNIMENT_URL).", show_default=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print the gateway's answer as it is.")]


def settings_from(data_dir: Path | None, roots: list[Path] | None = None, **given: Any) -> Settings:
    """The settings with the command line's options over the environment's; ``roots`` come on top."""
    options = {name: value for name, value in {"data_dir": data_dir, **given}.items() if value is not None}
    settings = read(**options)
    extra = [root.expanduser().resolve() for root in roots or ()]
    return settings.model_copy(update={"roots": list(dict.fromkeys([*settings.roots, *extra]))}) if extra else settings
