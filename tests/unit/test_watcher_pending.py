import threading

from muniment_watcher.debounce import Due
from muniment_watcher.pending import Change, Pending


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_each_project_has_its_own_changes():
    clock = Clock()
    pending = Pending(0.5, clock=clock)
    pending.note("one", Change("/src/a", False))
    pending.note("two", Change("/src/a", False))
    clock.now += 0.5
    assert pending.take(0) == {"one": Due((Change("/src/a", False),)), "two": Due((Change("/src/a", False),))}
    assert pending.take(0) == {}


def test_one_project_with_too_much_does_not_take_the_others_along():
    clock = Clock()
    pending = Pending(0.5, limit=3, clock=clock)
    for number in range(10):
        pending.note("large", Change(f"/src/{number}", False))
    pending.note("small", Change("/src/a", False))
    clock.now += 0.5
    assert pending.take(0) == {"large": Due(reconcile=True), "small": Due((Change("/src/a", False),))}


def test_a_forgotten_project_has_nothing_to_deliver():
    clock = Clock()
    pending = Pending(0.5, clock=clock)
    pending.ask_reconcile("one")
    pending.forget("one")
    clock.now += 5
    assert pending.take(0) == {}


def test_what_was_put_back_is_taken_again():
    clock = Clock()
    pending = Pending(0.5, clock=clock)
    pending.put_back("one", Due((Change("/a", False),)))
    assert pending.take(0) == {}
    clock.now += 0.5
    assert pending.take(0) == {"one": Due((Change("/a", False),))}


def test_a_waiting_take_hears_of_the_first_change():
    pending = Pending(0.01)
    timer = threading.Timer(0.05, pending.note, ("one", Change("/a", False)))
    timer.start()
    taken: dict[str, Due[Change]] = {}
    for _ in range(3):  # told of the change, told that it is due, and one to spare
        taken = taken or pending.take(10.0)
    timer.join()
    assert taken == {"one": Due((Change("/a", False),))}
