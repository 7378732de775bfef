"""The worker: a supervisor takes leases and forks one RQ worker per project queue, whose horses run the passes."""
