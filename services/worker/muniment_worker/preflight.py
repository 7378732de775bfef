"""What must hold before a job begins: an error here costs a second, in the middle of a pass it costs the pass."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from muniment.errors import DiskFull, PathOutsideRoots
from muniment.project import Project
from muniment.settings import Settings

LEAST_FREE_BYTES = 64 * 1024 * 1024


def check(project: Project, settings: Settings) -> None:
    """Raises PathOutsideRoots and DiskFull. The model was loaded with the process; an index that cannot be opened says
    so when it is; a vector store that is away does not keep a job from indexing words."""
    check_roots(project, settings.roots)
    if shutil.disk_usage(settings.data_dir).free < LEAST_FREE_BYTES:
        raise DiskFull(str(settings.data_dir))


def check_roots(project: Project, roots: Sequence[Path]) -> None:
    """Raises PathOutsideRoots: a root may have been taken back, or a folder have become a link, since the project."""
    for path in project.watch_paths:
        real = Path(os.path.realpath(path))
        if not any(real.is_relative_to(root) for root in roots):
            raise PathOutsideRoots(path, map(str, roots))
