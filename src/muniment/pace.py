"""How long a job will take, judged by earlier ones: of its project, else of the whole fleet.

The measure is seconds for each file that was read, as a moving average; a project that is embedded by a slow model has
its own. It can be lost with Redis: then the baseline is told until a job has ended.
"""

import time
from collections.abc import Callable

from muniment.jobs import Phase, Progress
from muniment.redis_client import PACE, Records, pace_key

BASELINE_SECONDS = 60.0
LEAST_FILES = 20  # a job that read fewer says more of what every job costs than of its files
NEWEST_SHARE = 0.5
FIELD = "seconds_per_file"


def estimated(files: int, of_project: float | None, of_fleet: float | None) -> float:
    """Seconds for a job that is to read so many files, given what one took before; at least one."""
    each = of_project if of_project is not None else of_fleet
    return BASELINE_SECONDS if each is None else max(1.0, files * each)


class JobPace:
    """Of one attempt at a job."""

    def __init__(self, redis: Records, project_id: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._project_id = project_id
        self._clock = clock
        self._began = clock()
        self._files: int | None = None  # to be read, as the scan found
        self.estimate: float | None = None  # seconds; None until the scan has ended

    def seen(self, progress: Progress) -> None:
        """Makes the estimate at the first report after the scan. Raises what Redis does."""
        if self._files is not None or progress.phase == Phase.SCAN:
            return
        files = progress.files
        to_read = max(0, files.total - files.done - files.failed)
        self.estimate = estimated(to_read, self._known(pace_key(self._project_id)), self._known(PACE))
        self._files = to_read

    def ended(self) -> None:
        """The job is complete: what it took is taken into account from now on."""
        if self._files is None or self._files < LEAST_FILES:
            return
        each = (self._clock() - self._began) / self._files
        for key in (pace_key(self._project_id), PACE):
            before = self._known(key)
            average = each if before is None else NEWEST_SHARE * each + (1 - NEWEST_SHARE) * before
            self._redis.hset(key, FIELD, f"{average:.6f}")

    def _known(self, key: str) -> float | None:
        value = self._redis.hget(key, FIELD)
        return None if value is None else float(value)
