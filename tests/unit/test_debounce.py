from muniment_watcher.debounce import Debounce, Due


def debounce(limit: int = 100) -> Debounce[str]:
    return Debounce(quiet_seconds=0.3, max_delay_seconds=2.0, limit=limit)


def test_a_path_is_due_after_it_was_quiet():
    pending = debounce()
    pending.add("a", 10.0)
    assert not pending.due(10.29)
    assert pending.due(10.3) == Due(("a",))
    assert not pending.due(20.0)


def test_a_burst_on_one_path_is_delivered_once():
    pending = debounce()
    for step in range(5):
        pending.add("a", 10.0 + step * 0.1)
    assert not pending.due(10.6)
    assert pending.due(10.75) == Due(("a",))


def test_a_path_that_is_written_all_the_time_is_still_delivered():
    pending = debounce()
    now, delivered = 0.0, []
    while now < 7.0:
        pending.add("log", now)
        if pending.due(now):
            delivered.append(now)
        now += 0.125
    assert delivered == [2.0, 4.125, 6.25]


def test_paths_wait_for_themselves_and_not_for_each_other():
    pending = debounce()
    pending.add("a", 10.0)
    pending.add("b", 10.2)
    assert pending.due(10.35) == Due(("a",))
    assert pending.due(10.5) == Due(("b",))


def test_it_says_when_the_next_path_is_due():
    pending = debounce()
    assert pending.next_due() is None
    pending.add("a", 10.0)
    pending.add("b", 10.2)
    assert pending.next_due() == 10.3
    pending.add("a", 10.25)
    assert pending.next_due() == 10.5
    pending.due(11.0)
    assert pending.next_due() is None


def test_too_many_paths_become_one_reconcile():
    pending = debounce(limit=3)
    for number in range(50):
        pending.add(f"file-{number}", 10.0 + number * 0.01)
    assert pending.next_due() == 10.49 + 0.3
    assert not pending.due(10.7)
    assert pending.due(10.8) == Due(reconcile=True)
    assert not pending.due(20.0)
    pending.add("later", 20.0)
    assert pending.due(20.3) == Due(("later",))


def test_the_limit_itself_is_still_paths():
    pending = debounce(limit=3)
    for name in "abc":
        pending.add(name, 1.0)
    assert pending.due(2.0) == Due(("a", "b", "c"))


def test_an_endless_burst_asks_for_a_reconcile_again_and_again():
    pending = debounce(limit=3)
    asked = 0
    for step in range(1000):
        now = step * 0.01
        pending.add(f"file-{step}", now)
        due = pending.due(now)
        asked += due.reconcile
        assert len(due.items) <= 3
    assert asked == 4


def test_a_reconcile_that_is_asked_for_takes_the_paths_with_it():
    pending = debounce()
    pending.add("a", 10.0)
    pending.collapse(10.1)
    assert pending.due(10.4) == Due(reconcile=True)


def test_what_was_not_delivered_is_due_again_after_a_quiet_time():
    pending = debounce()
    pending.add("a", 10.0)
    due = pending.due(10.3)
    pending.put_back(due, 11.0)
    assert not pending.due(11.2)
    assert pending.due(11.3) == Due(("a",))
    pending.put_back(Due(reconcile=True), 12.0)
    assert pending.due(12.3) == Due(reconcile=True)


def test_what_comes_back_again_and_again_stays_bounded():
    pending = debounce(limit=10)
    now = 0.0
    for number in range(100):
        now += 0.4
        pending.put_back(pending.due(now), now)
        pending.add(f"file-{number}", now)
    assert pending.due(now + 5) == Due(reconcile=True)
