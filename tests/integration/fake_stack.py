"""A program that runs the embedded stack with real servers and stand-ins for the services: killed by the tests."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from muniment.errors import MunimentError
from muniment.settings import Settings
from muniment.stack import embedded
from muniment.stack.children import base_url, gateway_answers
from muniment.stack.supervision import ChildSpec


def stand_ins(settings: Settings) -> Sequence[ChildSpec]:
    """A gateway whose /healthz is a file, and a worker that only waits."""
    site = settings.data_dir / "site"
    site.mkdir(exist_ok=True)
    (site / "healthz").write_text("ok")
    serve = (sys.executable, "-m", "http.server", str(settings.port), "--bind", settings.host, "-d", str(site))
    url = base_url(settings.host, settings.port)
    return (
        ChildSpec("worker", ("sleep", "1000")),
        ChildSpec("gateway", serve, ready=lambda: gateway_answers(url)),
    )


def main() -> None:
    stop = threading.Event()
    settings = Settings(data_dir=Path(sys.argv[1]), port=0)
    try:
        with embedded.stopped_by_signals(stop):
            found = embedded.run(
                settings, stop=stop, say=print, on_ready=lambda state: print("ready", state.pid), services=stand_ins
            )
    except MunimentError as error:
        sys.exit(f"{error.code}: {error}")
    print("attached" if found else "stopped")


if __name__ == "__main__":
    main()
