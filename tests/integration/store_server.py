"""A Valkey or a Chroma of a test's own: killed and started again as the test likes, on the same address and folder."""

import time
from concurrent.futures import ThreadPoolExecutor

from muniment.process import spawn, stop_child

STARTS_WITHIN = 30.0


class StoreServer:
    """``folder`` is where it keeps its data."""

    def __init__(self, spec, url, folder):
        self.spec, self.url, self.folder = spec, url, folder
        self._log = folder.parent / f"{spec.name}.log"
        self._process = None
        # a child dies with the thread that started it, and a pass waits for its stores in threads that end
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store-server")

    def start(self):
        with self._log.open("ab") as output:
            start = self._starter.submit(spawn, self.spec.argv, env=self.spec.env, output=output)
            self._process = start.result(STARTS_WITHIN)
        deadline = time.monotonic() + STARTS_WITHIN
        while not self.spec.ready():
            assert time.monotonic() < deadline, self._log.read_text(errors="replace")
            time.sleep(0.02)

    @property
    def down(self):
        return self._process is None

    def signal(self, number):
        self._process.send_signal(number)

    def kill(self):
        self._process.kill()
        self._process.wait()
        self._process = None

    def stop(self):
        if self._process is not None:
            stop_child(self._process, grace=5.0)
        self._starter.shutdown()
