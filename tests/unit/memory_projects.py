"""Two projects that have memories."""

from muniment.project import Project
from muniment.testing import ManualClock

THEN = ManualClock()()
ALPHA, BETA = (
    Project(id=f"{name}-222222", name=name, watch_paths=["/src"], created_at=THEN, updated_at=THEN)
    for name in ("alpha", "beta")
)
