"""Entry point of the worker service."""

from muniment import logs
from muniment.errors import MunimentError
from muniment.process import lower_session
from muniment.settings import load
from muniment_worker.supervisor import Supervisor


def main() -> None:
    try:
        settings = load()
        logs.configure("worker", settings.log_level, settings.log_format)
        lower_session(settings.nice)
        Supervisor(settings).run()
    except MunimentError as error:
        logs.end(error)


if __name__ == "__main__":
    main()
