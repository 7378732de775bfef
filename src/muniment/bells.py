"""Doorbells: the entry on a project's RQ queue that wakes its worker. Not the job: that is a record of ours."""

from rq import Queue
from rq.job import Job as Bell
from rq.serializers import JSONSerializer
from rq.worker_registration import clean_worker_registry, get_keys

from muniment.jobs import HISTORY_SECONDS
from muniment.redis_client import BELL_CHANNEL, Connections, queue_name

TASK = "muniment_worker.tasks.run"
RESULT_SECONDS = 3600


def make_bell(queue: Queue, project_id: str, description: str) -> Bell:
    """A doorbell that nobody hears yet."""
    return queue.create_job(
        TASK,
        args=(project_id,),
        timeout=-1,
        result_ttl=RESULT_SECONDS,
        failure_ttl=HISTORY_SECONDS,
        description=description,
    )


class Bells:
    def __init__(self, connections: Connections) -> None:
        self._redis = connections.records
        self._rq = connections.rq

    def ring(self, project_id: str, description: str) -> None:
        """Puts a doorbell on the project's queue and wakes the supervisors.

        One unanswered bell is enough: it will be answered after the record that it rings for was written.
        """
        queue = self.queue(project_id)
        if queue.count == 0:
            queue.enqueue_job(make_bell(queue, project_id, description))
        self._redis.publish(BELL_CHANNEL, project_id)

    def unanswered(self, project_id: str) -> int:
        return self.queue(project_id).count

    def forget(self, project_id: str) -> bool:
        """Deletes every key of RQ's for the project; False while a worker still lingers on its queue."""
        queue = self.queue(project_id)
        queue.delete(delete_jobs=True)
        registries = (
            queue.started_job_registry, queue.finished_job_registry, queue.failed_job_registry,
            queue.deferred_job_registry, queue.scheduled_job_registry, queue.canceled_job_registry,
        )  # fmt: skip
        self._rq.delete(queue.registry_cleaning_key, *(registry.key for registry in registries))
        clean_worker_registry(queue)  # who was killed is still listed there
        return not get_keys(queue)

    def queue(self, project_id: str) -> Queue:
        return Queue(queue_name(project_id), connection=self._rq, serializer=JSONSerializer)
