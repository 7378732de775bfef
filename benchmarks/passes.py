"""Passes over a project, followed through the REST interface as any client may."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import cycle, islice
from threading import Event
from typing import Any

import httpx
from stack import PROJECT

PHASES = ("scan", "lexical", "vectors", "finish")
TERMINAL = ("completed", "failed", "cancelled")
HIT_PAUSE = 0.02
LONGEST_PASS = 3 * 3600.0


class Api:
    """Raises httpx.HTTPStatusError for every answer that is an error."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=60.0)

    def get(self, path: str, **parameters: Any) -> Any:
        return self._answer(self._http.get(path, params=parameters))

    def post(self, path: str, **body: Any) -> Any:
        return self._answer(self._http.post(path, json=body))

    def search(self, question: str, **parameters: Any) -> list[dict[str, Any]]:
        results: list[dict[str, Any]] = self.get(f"/projects/{PROJECT}/search", q=question, **parameters)["results"]
        return results

    def _answer(self, answer: httpx.Response) -> Any:
        answer.raise_for_status()
        return answer.json()


@dataclass
class Pass:
    """``reached``: seconds from the request until each phase, or a later one, was seen first."""

    job: dict[str, Any]
    began: float  # monotonic
    seconds: float
    reached: dict[str, float] = field(default_factory=dict)
    up_to_date: bool = False  # as the status says afterwards

    def lasted(self, phase: str) -> float:
        end = self.reached[PHASES[PHASES.index(phase) + 1]]
        return end - self.reached[phase]


def follow(api: Api, job_id: str, began: float, pause: float, project: str = PROJECT) -> Pass:
    """Until the job has ended. Raises RuntimeError when it did not complete."""
    reached: dict[str, float] = {}
    while True:
        job = api.get(f"/jobs/{job_id}")
        seconds = time.monotonic() - began
        over = job["status"] in TERMINAL
        if over or job["status"] == "running":
            passed = PHASES if over else PHASES[: PHASES.index(job["phase"]) + 1]
            for phase in passed:
                reached.setdefault(phase, seconds)
        if over:
            break
        if seconds > LONGEST_PASS:
            raise RuntimeError(f"job {job_id} is still {job['status']} after {seconds:.0f} s")
        time.sleep(pause)
    if job["status"] != "completed":
        raise RuntimeError(f"job {job_id} {job['status']}: {job['error']}")
    status = api.get(f"/projects/{project}/status")
    return Pass(job, began, seconds, reached, status["up_to_date"])


def another_pass(api: Api) -> Pass:
    """A reconcile of the whole tree."""
    began = time.monotonic()
    started = api.post(f"/projects/{PROJECT}/jobs", kind="reconcile")
    return follow(api, started["job_id"], began, pause=0.05)


def first_hit(url: str, questions: Sequence[str], began: float, ended: Event, then: Callable[[], None]) -> float | None:
    """Seconds until a question had a result; None when none had one before ``ended``."""
    api = Api(url)
    for question in cycle(questions):
        if api.search(question):
            seconds = time.monotonic() - began
            then()
            return seconds
        if ended.wait(HIT_PAUSE):
            break
    return None


def idle_latencies(api: Api, questions: Sequence[str], count: int) -> list[float]:
    """Of searches one after the other, each question asked once before."""
    for question in questions:
        api.search(question)
    seconds = []
    for question in islice(cycle(questions), count):
        asked = time.perf_counter()
        api.search(question)
        seconds.append(time.perf_counter() - asked)
    return seconds
