import re
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from muniment.errors import InvalidProjectName, InvalidValue, UnknownProject
from muniment.project import Project
from muniment.projects import Change, ProjectStore
from muniment.testing import ManualClock

clock = ManualClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "server.sqlite"


@pytest.fixture
def store(path: Path) -> ProjectStore:
    return ProjectStore(path)


def put(store: ProjectStore, name: str, paths: list[str] | None = None, **fields: Any) -> tuple[Project, Change]:
    given = {"watch_patterns": None, "watch_exclude": None, "watch": None, "now": clock()} | fields
    return store.add_or_update(name, watch_paths=paths, **given)


def test_a_new_project_takes_the_defaults(store: ProjectStore) -> None:
    project, change = put(store, "Alpha", ["/src/alpha"])
    assert change is Change.CREATED
    assert re.fullmatch(r"alpha-[a-z2-9]{6}", project.id)
    expected = {"name": "Alpha", "watch_paths": ["/src/alpha"], "watch_patterns": [], "watch_exclude": []}
    assert project.model_dump(include=set(expected)) == expected
    assert project.watch is True
    assert project.created_at == project.updated_at == clock.now


def test_a_second_call_replaces_given_fields_and_leaves_the_others(store: ProjectStore) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"], watch_patterns=["*.py"], watch_exclude=["gen/"], watch=False)
    later = clock.advance(60)
    project, change = put(store, "alpha", watch_patterns=["*.go"], now=later)
    assert change is Change.UPDATED
    assert project == made.model_copy(update={"watch_patterns": ["*.go"], "updated_at": later})
    assert store.get("alpha") == project


def test_empty_lists_and_false_are_given_fields(store: ProjectStore) -> None:
    put(store, "alpha", ["/src/alpha"], watch_patterns=["*.py"], watch_exclude=["gen/"])
    project, change = put(store, "alpha", watch_patterns=[], watch_exclude=[], watch=False)
    assert change is Change.UPDATED
    assert (project.watch_patterns, project.watch_exclude, project.watch) == ([], [], False)


def test_a_call_that_changes_nothing_says_so_and_keeps_the_date(store: ProjectStore) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"], watch=True)
    project, change = put(store, "alpha", ["/src/alpha", "/src/alpha"], watch=True, now=clock.advance(60))
    assert change is Change.UNCHANGED
    assert project == store.get("alpha") == made


def test_a_name_finds_its_project_in_any_case_and_keeps_its_own(store: ProjectStore) -> None:
    made, _ = put(store, "Alpha", ["/src/alpha"])
    project, change = put(store, "ALPHA", watch=False)
    assert (change, project.id, project.name) == (Change.UPDATED, made.id, "Alpha")
    assert store.get("aLpHa") == store.get(made.id) == project
    assert len(store.all()) == 1


def test_no_project_can_take_the_id_of_another_as_its_name(store: ProjectStore) -> None:
    alpha, _ = put(store, "alpha", ["/src/alpha"])
    for name in (alpha.id, alpha.id.upper()):
        project, change = put(store, name, [f"/src/{name}"])
        assert (change, project.id, project.name) == (Change.UPDATED, alpha.id, "alpha")


def test_a_new_project_needs_its_folders_or_an_explicit_empty_list(store: ProjectStore) -> None:
    with pytest.raises(InvalidValue, match="needs its folders, or an explicit empty list"):
        put(store, "alpha", None)
    assert store.all() == []
    project, _ = put(store, "alpha", [])
    assert project.watch_paths == []
    assert put(store, "alpha", [])[1] == Change.UNCHANGED
    assert put(store, "alpha", ["/src/alpha"])[0].watch_paths == ["/src/alpha"]


def test_the_last_folder_cannot_be_taken_away(store: ProjectStore) -> None:
    put(store, "alpha", ["/src/alpha"])
    with pytest.raises(InvalidValue, match="would lose them all"):
        put(store, "alpha", [])
    assert store.get("alpha").watch_paths == ["/src/alpha"]


@pytest.mark.parametrize("name", ["", "a/b", "../up", ".hidden", "x" * 64, "with space"])
def test_a_bad_name_is_refused(store: ProjectStore, name: str) -> None:
    with pytest.raises(InvalidProjectName):
        put(store, name, ["/src"])


def test_an_unknown_project_is_answered_with_the_known_ones(store: ProjectStore) -> None:
    put(store, "beta", ["/src/b"])
    put(store, "alpha", ["/src/a"])
    with pytest.raises(UnknownProject, match=r"No project named 'alpa'\. Known: alpha, beta\."):
        store.get("alpa")
    assert store.find("alpa") is None


def test_projects_are_listed_by_name_whatever_its_case(store: ProjectStore) -> None:
    for name in ["beta", "Gamma", "Alpha"]:
        put(store, name, [f"/src/{name}"])
    assert [project.name for project in store.all()] == ["Alpha", "beta", "Gamma"]


def test_the_list_shows_what_any_process_changed_last(store: ProjectStore, path: Path) -> None:
    other = ProjectStore(path)
    assert store.all() == []
    put(other, "alpha", ["/src/alpha"])
    assert [project.name for project in store.all()] == ["alpha"]
    put(store, "beta", ["/src/beta"])
    assert [project.name for project in store.all()] == [project.name for project in other.all()] == ["alpha", "beta"]
    other.remove(other.get("alpha").id, clock())
    assert [project.name for project in store.all()] == ["beta"]
    other.close()


def test_a_call_that_changes_nothing_does_not_wait_for_who_writes(store: ProjectStore, path: Path) -> None:
    put(store, "alpha", ["/src/alpha"])
    other = ProjectStore(path)
    with other.kept(other.get("alpha").id), ThreadPoolExecutor(1) as pool:
        assert pool.submit(put, store, "alpha", ["/src/alpha"]).result(5)[1] == Change.UNCHANGED


def test_projects_over_the_same_or_nested_folders_share_them(store: ProjectStore) -> None:
    mine, _ = put(store, "mine", ["/src/app", "/docs"])
    for name, folder in [("same", "/src/app"), ("inner", "/docs/api"), ("outer", "/src"), ("near", "/src/application")]:
        put(store, name, ["/elsewhere/" + name, folder])
    assert [project.name for project in store.sharing_paths(mine)] == ["inner", "outer", "same"]


def test_a_removed_project_is_gone_and_its_name_is_free(store: ProjectStore) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"])
    store.remove(made.id, clock())
    assert store.find("alpha") is None
    with pytest.raises(UnknownProject):
        store.remove(made.id, clock())
    again, change = put(store, "alpha", ["/src/alpha"])
    assert change is Change.CREATED
    assert again.id != made.id


def test_a_removed_project_is_known_until_it_is_swept(store: ProjectStore, path: Path) -> None:
    ids = [put(store, name, ["/src"])[0].id for name in ("alpha", "beta")]
    for project_id in ids:
        store.remove(project_id, clock.advance(1))
    assert ProjectStore(path).removed() == ids
    store.swept(ids[0])
    store.swept(ids[0])
    assert store.removed() == [ids[1]]


def test_what_is_made_for_a_project_is_made_before_its_removal_or_not_at_all(store: ProjectStore, path: Path) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"])
    other = ProjectStore(path)
    with ThreadPoolExecutor(1) as pool:
        with store.kept(made.id) as project:
            assert project == made
            removal = pool.submit(other.remove, made.id, clock())
            assert not removal.done()
        removal.result()
    with pytest.raises(UnknownProject), store.kept(made.id):
        pytest.fail("it is gone")


def test_projects_outlive_the_process(store: ProjectStore, path: Path) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"])
    store.close()
    assert ProjectStore(path).all() == [made]


def test_many_openers_and_writers_at_once_make_one_project(path: Path) -> None:
    def open_and_put(number: int) -> tuple[Project, Change]:
        return put(ProjectStore(path), "alpha", [f"/src/{number}"])

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(open_and_put, range(16)))
    assert [change for _, change in answers].count(Change.CREATED) == 1
    assert len({project.id for project, _ in answers}) == 1


def test_a_failed_write_leaves_nothing_behind(store: ProjectStore, path: Path) -> None:
    made, _ = put(store, "alpha", ["/src/alpha"])
    other = sqlite3.connect(path)
    other.execute("CREATE TRIGGER no BEFORE UPDATE ON projects BEGIN SELECT RAISE(ABORT, 'refused'); END")
    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        put(store, "alpha", watch=False)
    other.execute("DROP TRIGGER no")
    assert store.get("alpha") == made
    assert put(store, "alpha", watch=False)[1] is Change.UPDATED
