"""Why a manifest cannot be read."""

import sqlite3
from pathlib import Path

from muniment.errors import DatabaseBusy, DiskFull, ManifestDamaged, ManifestUnreadable, MunimentError
from muniment.sqlite import BUSY_SECONDS, is_busy, is_damage


def why_unread(path: Path, error: sqlite3.Error | DiskFull | OSError) -> MunimentError:
    """Only damage is called damage: what is locked, full or forbidden becomes better without a rebuild."""
    if isinstance(error, DiskFull):
        return error
    if isinstance(error, sqlite3.Error):
        if is_damage(error):
            return ManifestDamaged(str(path), str(error))
        if is_busy(error):
            return DatabaseBusy(str(path.parent), BUSY_SECONDS)
    return ManifestUnreadable(str(path), str(error))
