"""Words as programmers write them."""

import pytest

from muniment import identifiers
from muniment.identifiers import MAX_WORD, STOP_WORDS, TASK_WORDS, WordCache, index_text, question_tokens, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("NewReconciler", ["newreconciler", "new", "reconciler"]),
        ("get_job_status", ["get_job_status", "get", "job", "status"]),
        ("sha256sum", ["sha256sum", "sha", "256", "sum"]),
        ("__init__", ["__init__", "init"]),
        ("plain", ["plain"]),
        ("Plain", ["plain"]),
        ("x", ["x"]),
        ("v1", ["v1"]),
        ("pkg/kubelet-eviction.go", ["pkg", "kubelet", "eviction", "go"]),
        ("ÜberMaß_größe", ["übermaß_größe", "über", "maß", "größe"]),
        ("naïve", ["naïve"]),
        ("日本語", ["日本語", "日本", "本語"]),
        ("", []),
        ("?! \ud800 -- ", []),
    ],
)
def test_a_compound_word_counts_whole_and_in_parts(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_repeated_words_stay_repeated_so_that_frequency_counts() -> None:
    assert tokens("retry retry Retry") == ["retry"] * 3


def test_ascii_and_other_text_are_cut_alike() -> None:
    assert tokens("fooBar(baz_2) ÿ")[:-1] == tokens("fooBar(baz_2)")


def test_encoded_data_is_left_out() -> None:
    assert tokens(f"before {'a' * (MAX_WORD + 1)} after") == ["before", "after"]
    assert tokens("a" * MAX_WORD) == ["a" * MAX_WORD]


def test_index_text_is_the_tokens_joined_by_spaces() -> None:
    assert index_text("fooBar baz").split() == tokens("fooBar baz") == ["foobar", "foo", "bar", "baz"]


def test_the_cache_of_words_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identifiers, "MAX_CACHED_WORDS", 10)
    words = WordCache()
    many = [f"word{chr(97 + number)}" for number in range(25)]
    assert index_text(" ".join(many), words).split() == many
    assert len(words) <= 10


def test_a_cache_may_finish_each_distinct_word_once() -> None:
    seen: list[str] = []

    def shout(tokens: str) -> str:
        seen.append(tokens)
        return tokens.upper()

    assert index_text("fooBar baz fooBar", WordCache(shout)) == "FOOBAR FOO BAR BAZ FOOBAR FOO BAR"
    assert seen == ["foobar foo bar", "baz"]


def test_a_question_loses_its_stop_words_and_repetitions() -> None:
    assert question_tokens("how does the kubelet evict pods, the kubelet?") == ["kubelet", "evict", "pods"]


def test_a_question_of_stop_words_alone_keeps_them() -> None:
    assert question_tokens("what is this") == ["what", "is", "this"]


def test_what_is_to_be_done_is_still_a_word_of_the_question() -> None:
    assert {"fix", "add", "removed"} <= TASK_WORDS
    assert TASK_WORDS.isdisjoint(STOP_WORDS)
    assert question_tokens("fix the lease") == ["fix", "lease"]
