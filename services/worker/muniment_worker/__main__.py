"""Entry point of the worker service."""

import logging

from muniment.settings import load
from muniment_worker.supervisor import Supervisor


def main() -> None:
    settings = load()
    logging.basicConfig(level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(process)d %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request to Chroma
    Supervisor(settings).run()


if __name__ == "__main__":
    main()
