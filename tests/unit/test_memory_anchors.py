from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from muniment.datafolder import DataFolder
from muniment.errors import InvalidValue, UnknownProject
from muniment.memory import Anchor, CodeState, MemoryStore
from muniment.memory.anchors import compare, line_digests, make_anchor, parse_lines
from muniment.memory.code import AnchoredCode
from muniment.project import Project
from muniment.pushed import PushedFiles
from muniment.testing import HashedWordsEmbedder, ManualClock

NOW = datetime(2026, 3, 14, tzinfo=UTC)
CODE = """\
import math


class Cart:
    def total(self):
        return math.fsum(self.prices)

    def clear(self):
        self.prices = []


def total(cart):
    return cart.total()
"""


# --- pure -------------------------------------------------------------------------------------------------------


def became(anchor: Anchor, text: str) -> tuple[CodeState, Anchor]:
    return compare(anchor, line_digests(text))


@pytest.mark.parametrize(("given", "read"), [("12-40", (12, 40)), (" 7 ", (7, 7)), ("", None), (None, None)])
def test_lines_are_read(given: str | None, read: tuple[int, int] | None) -> None:
    assert parse_lines(given) == read


@pytest.mark.parametrize("given", ["0", "9-3", "a-b", "-4", "3-", "1-2-3"])
def test_what_are_no_lines_is_refused(given: str) -> None:
    with pytest.raises(InvalidValue, match="lines"):
        parse_lines(given)


def test_code_that_only_moved_is_the_same_and_says_where_it_is() -> None:
    anchor = make_anchor("cart.py", CODE, (5, 6), None)
    moved = "# a licence\n# of two lines\n" + CODE.replace("fsum(self.prices)", "fsum(self.prices)   ")
    state, where = became(anchor, moved)
    assert (state, where.start_line, where.end_line) == (CodeState.SAME, 7, 8)


def test_code_that_differs_is_changed() -> None:
    anchor = make_anchor("cart.py", CODE, (5, 6), None)
    assert became(anchor, CODE.replace("fsum", "sum"))[0] == CodeState.CHANGED
    assert became(anchor, "")[0] == CodeState.CHANGED
    assert became(anchor, CODE.replace("clear", "empty"))[0] == CodeState.SAME


def test_of_two_equal_places_the_nearest_is_meant() -> None:
    text = "a\nb\n" * 10
    anchor = make_anchor("x.txt", text, (9, 10), None)
    assert became(anchor, text)[1].start_line == 9


def test_a_whole_file_is_the_same_only_as_a_whole() -> None:
    anchor = make_anchor("cart.py", CODE, None, None)
    assert (anchor.start_line, became(anchor, CODE)[0]) == (None, CodeState.SAME)
    assert became(anchor, CODE + "\nmore = 1\n")[0] == CodeState.CHANGED


def test_a_symbol_stands_for_the_lines_of_its_definition() -> None:
    anchor = make_anchor("cart.py", CODE, None, "total")
    assert anchor.symbol == "total"
    assert anchor.start_line is not None
    assert became(anchor, CODE.replace("cart.total()", "cart.total() + 1"))[0] == CodeState.CHANGED


def test_a_symbol_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(InvalidValue, match=r"nothing_like_it.*Cart"):
        make_anchor("cart.py", CODE, None, "nothing_like_it")
    with pytest.raises(InvalidValue, match="13 lines"):
        make_anchor("cart.py", CODE, (12, 99), None)


def test_a_symbol_is_its_own_lines_though_its_file_is_one_chunk() -> None:
    anchor = make_anchor("cart.py", CODE, None, "clear")
    assert (anchor.symbol, anchor.start_line, anchor.end_line) == ("clear", 8, 9)
    assert became(anchor, CODE.replace("cart.total()", "0"))[0] == CodeState.SAME
    assert became(anchor, CODE.replace("= []", "= ()"))[0] == CodeState.CHANGED
    assert make_anchor("cart.py", CODE, None, "total").start_line == 12
    method = make_anchor("cart.py", CODE, None, "Cart.total")
    assert (method.start_line, method.end_line) == (5, 6)


def test_a_name_that_several_have_is_refused_with_their_full_names() -> None:
    text = CODE.replace("def total(cart)", "class Bill:\n    def total(self)")
    with pytest.raises(InvalidValue, match=r"has several: Cart\.total, Bill\.total"):
        make_anchor("cart.py", text, None, "total")


def test_a_heading_is_a_symbol_too() -> None:
    anchor = make_anchor("a.md", "# Title\n\nText.\n\n## Usage\n\nCall it.\n", None, "Title > Usage")
    assert anchor.end_line == 7


def test_lines_are_counted_as_everywhere_though_a_page_break_stands_in_one() -> None:
    text = "one\ntwo \x0c two\nthree\u2028three\r\nfour"
    anchor = make_anchor("a.c", text, (4, 4), None)
    assert became(anchor, text.replace("four", "4"))[0] == CodeState.CHANGED
    assert became(anchor, text.replace("two", "2").replace("\r", "") + "\n")[0] == CodeState.SAME
    with pytest.raises(InvalidValue, match="has 4 lines"):
        make_anchor("a.c", text, (5, 5), None)


# --- files ------------------------------------------------------------------------------------------------------


@pytest.fixture
def project(tmp_path: Path) -> Project:
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "cart.py").write_text(CODE)
    (sources / "other.py").write_text("other = 1\n")
    return Project(id="alpha-222222", name="alpha", watch_paths=[str(sources)], created_at=NOW, updated_at=NOW)


@pytest.fixture
def code(tmp_path: Path, project: Project) -> AnchoredCode:
    def project_of(project_id: str) -> Project:
        if project_id != project.id:
            raise UnknownProject(project_id, [])
        return project

    return AnchoredCode(DataFolder(tmp_path / "data"), project_of, 100_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[MemoryStore]:
    store = MemoryStore(tmp_path / "memories.sqlite", HashedWordsEmbedder(), ManualClock())
    yield store
    store.close()


def told(code: AnchoredCode, store: MemoryStore, project: Project) -> list[CodeState | None]:
    return [hit.code for hit in code.checked(store.search(project.id, "sums are exact"))]


def test_a_memory_is_marked_when_its_code_changes_until_it_is_confirmed(
    code: AnchoredCode, store: MemoryStore, project: Project
) -> None:
    anchor = code.anchor(project, "cart.py", symbol="total")
    memory = store.store(project, "sums are exact", anchor=anchor)
    assert store.get(project.id, memory.id).anchor == anchor
    assert told(code, store, project) == [CodeState.SAME]
    file = Path(project.watch_paths[0]) / "cart.py"
    file.write_text(CODE.replace("fsum", "sum").replace("cart.total()", "0"))
    assert told(code, store, project) == [CodeState.CHANGED]
    store.update(project.id, memory.id, anchor=code.anchor(project, "cart.py", symbol="total"))
    assert told(code, store, project) == [CodeState.SAME]
    file.unlink()
    assert told(code, store, project) == [CodeState.GONE]
    store.update(project.id, memory.id, drop_anchor=True)
    assert told(code, store, project) == [None]


def test_a_pushed_text_hides_the_one_on_the_disk(
    tmp_path: Path, code: AnchoredCode, store: MemoryStore, project: Project
) -> None:
    store.store(project, "sums are exact", anchor=code.anchor(project, "cart.py", "5-6"))
    pushed = PushedFiles(DataFolder(tmp_path / "data").project(project.id).pushed)
    pushed.make()
    pushed.put("cart.py", "something else\n", 1)
    assert told(code, store, project) == [CodeState.CHANGED]


def test_only_a_text_file_of_the_project_can_be_an_anchor(tmp_path: Path, code: AnchoredCode, project: Project) -> None:
    sources = Path(project.watch_paths[0])
    (tmp_path / "secret.txt").write_text("a secret\n")
    (sources / "link.txt").symlink_to(tmp_path / "secret.txt")
    (sources / "image.png").write_bytes(b"\x89PNG\0\0")
    for path in ("../secret.txt", "/etc/passwd", "link.txt", "image.png", "absent.py"):
        with pytest.raises(InvalidValue, match="path"):
            code.anchor(project, path)
    with pytest.raises(InvalidValue, match="need the file"):
        code.anchor(project, None, symbol="total")
    assert code.anchor(project, None) is None


def test_a_memory_of_a_project_that_was_removed_has_lost_its_code(
    code: AnchoredCode, store: MemoryStore, project: Project
) -> None:
    gone = project.model_copy(update={"id": "gone-222222"})
    store.store(gone, "sums are exact", anchor=code.anchor(project, "cart.py"))
    assert [hit.code for hit in code.checked(store.search(gone.id, "sums"))] == [CodeState.GONE]


def test_a_memory_whose_anchor_lies_outside_its_project_tells_nothing_of_what_is_there(
    tmp_path: Path, code: AnchoredCode, store: MemoryStore, project: Project
) -> None:
    """Such an anchor cannot be made or imported; older data may hold one."""
    (tmp_path / "secret.txt").write_text("secret\n")
    for path in ("../secret.txt", str(tmp_path / "secret.txt"), "a\0b", ""):
        anchor = make_anchor(path, "secret\n", None, None)
        memory = store.store(project, f"sums are exact in {path!r}", anchor=anchor)
        (seen,) = code.checked([store.get(project.id, memory.id)])
        assert seen.code == CodeState.GONE
