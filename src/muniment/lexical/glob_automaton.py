"""Matches a glob in a time that grows with the path alone: all states at once, one bit each (Baeza-Yates and Gonnet's
shift-and). Pure."""

import re
from collections.abc import Mapping, Sequence


class GlobAutomaton:
    """Of the tokens ``*``, ``**``, ``**/``, ``?``, ``[...]`` (by ``classes``) and single characters.

    ``below``: what lies below a path that matches does too. Safe for threads.
    """

    def __init__(self, tokens: Sequence[str], classes: Mapping[str, re.Pattern[str]], *, below: bool) -> None:
        self._classes, self._below = classes, below
        self._steps: list[str] = []  # what leads from each state to the next one
        self._in_folder = self._anywhere = self._skip_one = self._skip_two = 0  # sets of states
        for token in tokens:
            here = 1 << len(self._steps)
            if token == "**/":
                # two states: before it, from where it may be left out; and within, which only a slash ends
                self._skip_one |= here
                self._skip_two |= here
                self._anywhere |= here << 1
                self._steps += ["", "/"]
            elif token in ("*", "**"):
                self._skip_one |= here
                if token == "*":
                    self._in_folder |= here
                else:
                    self._anywhere |= here
                self._steps.append("")
            else:
                self._steps.append(token)
        self._end = 1 << len(self._steps)
        self._accepting: dict[str, int] = {}  # by character, the states that it leads out of

    def matches(self, path: str) -> bool:
        states = self._closed(1)
        for character in path:
            if self._below and character == "/" and states & self._end:
                return True
            moved = (states & self._accepts(character)) << 1
            stays = self._anywhere | (self._in_folder if character != "/" else 0)
            states = self._closed(moved | (states & stays if character != "\0" else 0))
            if not states:
                return False
        return bool(states & self._end)

    def _closed(self, states: int) -> int:
        while True:
            more = states | (states & self._skip_one) << 1 | (states & self._skip_two) << 2
            if more == states:
                return states
            states = more

    def _accepts(self, character: str) -> int:
        known = self._accepting.get(character)
        if known is None:
            known = sum(1 << state for state, step in enumerate(self._steps) if self._takes(step, character))
            self._accepting[character] = known
        return known

    def _takes(self, step: str, character: str) -> bool:
        if step == "?":
            return character != "/"
        if step in self._classes:
            return self._classes[step].fullmatch(character) is not None
        return step == character
