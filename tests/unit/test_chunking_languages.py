"""Cutting code at definitions, a language at a time: scopes, comments and decorators, long bodies, constants."""

from itertools import pairwise
from typing import NamedTuple

import pytest

from muniment.chunking import Chunk, chunk_file
from muniment.chunking.grammars import GRAMMARS
from muniment.chunking.lines import MAX_CHARS, MIN_CHARS


class Sample(NamedTuple):
    """``source`` holds a ``@@`` in each body; ``statement`` is what stands there, many times over.

    ``outline``: the symbol and the first line (a comment's, a decorator's) of definitions with such a body.
    ``defines``: every name that the source introduces.
    """

    path: str
    statement: str
    source: str
    outline: list[tuple[str, str]]
    defines: list[str]


PYTHON = Sample(
    "a.py",
    "total = total + compute(total)",
    '''"""A module."""

import os

LIMIT = 10
names: list[str] = []


# leads to work
# in two lines
@cached
async def work(total):
    @@


class Store(Base):
    """Keeps."""

    size = 3

    def put(self, total):
        @@

    # gets
    @property
    def get(self, total):
        @@


if os.name == "nt":

    def fallback(total):
        @@
''',
    [("work", "# leads to work"), ("Store", "class Store(Base):"), ("Store.get", "    # gets")],
    ["LIMIT", "names", "work", "Store", "size", "put", "get", "fallback"],
)
JAVASCRIPT = Sample(
    "a.js",
    "total = total + compute(total);",
    """import x from "x";

const LIMIT = 10;

/** Works. */
export async function work(total) {
  @@
}

export default class Store extends Base {
  // puts
  put(total) {
    @@
  }

  static get = (total) => {
    @@
  };
}

export const arrow = (total) => {
  @@
};

Store.prototype.drop = function (total) {
  @@
};
exports.count = () => {
  @@
};
""",
    [
        ("work", "/** Works. */"),
        ("Store", "export default class Store extends Base {"),
        ("Store.get", "  static get = (total) => {"),
        ("arrow", "export const arrow = (total) => {"),
        ("Store.drop", "Store.prototype.drop = function (total) {"),
        ("count", "exports.count = () => {"),
    ],
    ["LIMIT", "work", "Store", "put", "get", "arrow", "drop", "count"],
)
TYPESCRIPT = Sample(
    "a.ts",
    "total = total + compute(total);",
    """export type Id = string;

export interface Shape<T> {
  area(): number;
}

enum Colour {
  Red,
}

namespace Deep.Down {
  export function inner(total: number): void {
    @@
  }
}

@Component({ selector: "x" })
export abstract class Store<T> {
  private handler = (total: number) => {
    @@
  };

  @Input()
  put(total: number): void {
    @@
  }
}
""",
    [("Store", '@Component({ selector: "x" })'), ("Store.put", "  @Input()")],
    ["Id", "Shape", "area", "Colour", "Down", "inner", "Store", "handler", "put"],
)
TSX = Sample(
    "a.tsx",
    "const total = <b>{compute()}</b>;",
    """export const App: FC<Props> = ({ name }) => {
  @@
  return <App.Item name={name}>text</App.Item>;
};

// shows
export function Item({ name }: Props) {
  @@
  return <li>{name}</li>;
}
""",
    [("App", "export const App: FC<Props> = ({ name }) => {"), ("Item", "// shows")],
    ["App", "Item"],
)
JSX = TSX._replace(path="a.jsx", source=TSX.source.replace(": FC<Props>", "").replace(": Props", ""), outline=[
    ("App", "export const App = ({ name }) => {"), ("Item", "// shows"),
])  # fmt: skip
GO = Sample(
    "a.go",
    "total = total + compute(total)",
    """// Package a is one.
package a

import "fmt"

const (
	Limit = iota
	Other
)

var ErrGone, errLost = fmt.Errorf("gone"), fmt.Errorf("lost")

type (
	ID    string
	Store[K comparable] struct {
		size int
	}
)

// Put puts.
//go:noinline
func (s *Store[K]) Put(total int) {
	@@
}

func (Store[_]) Get(total int) {
	@@
}

func New[K comparable](total int) *Store[K] {
	@@
}
""",
    [
        ("Store.Put", "// Put puts."),
        ("Store.Get", "func (Store[_]) Get(total int) {"),
        ("New", "func New[K comparable](total int) *Store[K] {"),
    ],
    ["Limit", "Other", "ErrGone", "ID", "Store", "Put", "Get", "New"],
)
RUST = Sample(
    "a.rs",
    "total = total + compute(total);",
    """//! A crate.
use std::fmt;

pub const LIMIT: usize = 10;

/// Keeps.
#[derive(Debug, Clone)]
pub struct Store<T> {
    size: T,
}

impl<T: Clone> Store<T> {
    /// Puts.
    #[inline]
    pub fn put(&mut self, mut total: usize) {
        @@
    }
}

impl<T> fmt::Display for Store<T> {
    fn fmt(&self, mut total: usize) -> fmt::Result {
        @@
    }
}

trait Shape {
    fn area(&self) -> f64;
}

mod inner {
    pub enum Colour { Red }

    pub(crate) async fn work(mut total: usize) {
        @@
    }
}

macro_rules! square {
    ($x:expr) => { $x * $x };
}
""",
    [("Store.fmt", "impl<T> fmt::Display for Store<T> {")],
    ["LIMIT", "Store", "put", "fmt", "Shape", "area", "inner", "Colour", "work", "square"],
)
JAVA = Sample(
    "Store.java",
    "total = total + compute(total);",
    """package a.b;

import java.util.List;

/** Keeps. */
@Service
public class Store<T> extends Base implements Shape {
    private static final int LIMIT = 10;

    public Store(int total) {
        @@
    }

    /** Puts. */
    @Override
    public <K> List<K> put(int total) throws IOException {
        @@
    }

    static class Inner {
        void get(int total) {
            @@
        }
    }

    enum Colour { RED }
}

record Point(int x, int y) {}

interface Shape {
    double area();
}
""",
    [("Store", "/** Keeps. */"), ("Store.put", "    /** Puts. */"), ("Store.Inner", "    static class Inner {")],
    ["Store", "LIMIT", "put", "Inner", "get", "Colour", "Point", "Shape", "area"],
)
C = Sample(
    "a.c",
    "total = total + compute(total);",
    """// SPDX-License-Identifier: MIT
#include <stdio.h>

#define LIMIT 10
#define SQUARE(x) ((x) * (x))

typedef struct store {
	int size;
} store_t;

struct shape {
	double area;
};

enum colour { RED };

static const struct shape shapes[] = { { 1 } };

int declared(int total);

/* puts */
static int __init
put(struct store *s, int total)
{
	@@
	return 0;
}

#ifdef CONFIG_GET
struct store **get(int total) {
	@@
}
#endif
""",
    [("put", "/* puts */"), ("get", "struct store **get(int total) {")],
    ["LIMIT", "SQUARE", "store_t", "store", "shape", "colour", "shapes", "put", "get"],
)
CPP = Sample(
    "a.cpp",
    "total = total + compute(total);",
    """#include <vector>

namespace deep::down {

/// Keeps.
template <typename T>
class Store : public Base<T> {
 public:
  explicit Store(int total) : size_(total) {
    @@
  }

  // gets
  int& get(int total) const {
    @@
  }

  int declared(int total);
};

// out of its class
template <typename T>
int Store<T>::declared(int total) {
  @@
}

using Id = int;

}  // namespace deep::down

deep::down::Id main(int total) {
  @@
}
""",
    [
        ("deep.down.Store", "/// Keeps."),
        ("deep.down.Store.get", "  // gets"),
        ("deep.down.Store.declared", "// out of its class"),
        ("main", "deep::down::Id main(int total) {"),
    ],
    ["down", "Store", "get", "declared", "Id", "main"],
)
CSHARP = Sample(
    "a.cs",
    "total = total + Compute(total);",
    """using System;

namespace Deep.Down
{
    /// <summary>Keeps.</summary>
    [Serializable]
    public class Store<T> : Base
    {
        public int Size { get; set; }

        public Store(int total)
        {
            @@
        }

        // puts
        [Obsolete]
        public async Task<int> Put(int total)
        {
            @@
        }
    }

    public record Point(int X, int Y);

    interface IShape { double Area(); }

    enum Colour { Red }
}
""",
    [("Store", "    /// <summary>Keeps.</summary>"), ("Store.Put", "        // puts")],
    ["Down", "Store", "Size", "Put", "Point", "IShape", "Area", "Colour"],
)
RUBY = Sample(
    "a.rb",
    "total = total + compute(total)",
    """require "x"

LIMIT = 10

module Deep
  # Keeps.
  class Store < Base
    attr_reader :size

    def initialize(total)
      @@
    end

    # puts
    def put!(total)
      @@
    end

    def self.get(total)
      @@
    end

    class << self
      def drop(total)
        @@
      end
    end
  end
end
""",
    [
        ("Deep.Store", "  # Keeps."),
        ("Deep.Store.put!", "    # puts"),
        ("Deep.Store.get", "    def self.get(total)"),
        ("Deep.Store.drop", "    class << self"),
    ],
    ["LIMIT", "Deep", "Store", "initialize", "put!", "get", "drop"],
)
PHP = Sample(
    "a.php",
    "$total = $total + compute($total);",
    """<?php
declare(strict_types=1);

namespace App\\Deep;

use Other\\Base;

const LIMIT = 10;

/**
 * Keeps.
 */
#[Entity]
final class Store extends Base
{
    const SIZE = 3;

    public function __construct(private int $total)
    {
        @@
    }

    /** Puts. */
    public static function put(int $total): int
    {
        @@
    }
}

interface Shape
{
    public function area(): float;
}

trait Drops
{
}

enum Colour: string
{
    case Red = 'red';
}

function work($total)
{
    @@
}
""",
    [("Store", "/**"), ("Store.put", "    /** Puts. */"), ("work", "function work($total)")],
    ["Deep", "LIMIT", "Store", "SIZE", "__construct", "put", "Shape", "area", "Drops", "Colour", "work"],
)
BASH = Sample(
    "a.sh",
    'total="$(compute "$total")"',
    """#!/bin/bash
set -e

# puts
put() {
  @@
}

function store::get {
  @@
}

if true; then
  drop() {
    @@
  }
fi
""",
    [("put", "# puts"), ("store.get", "function store::get {")],
    ["put", "get", "drop"],
)
SAMPLES = [PYTHON, JAVASCRIPT, TYPESCRIPT, TSX, JSX, GO, RUST, JAVA, C, CPP, CSHARP, RUBY, PHP, BASH]
BY_PATH = pytest.mark.parametrize("sample", SAMPLES, ids=[sample.path for sample in SAMPLES])


def filled(sample: Sample, chars: int) -> str:
    """The source with about ``chars`` characters of statements in each body."""
    lines = []
    for line in sample.source.splitlines():
        indent = line[: len(line) - len(line.lstrip())]
        times = max(1, chars // (len(indent) + len(sample.statement) + 1))
        lines += [indent + sample.statement] * times if line.strip() == "@@" else [line]
    return "\n".join(lines) + "\n"


def cut(sample: Sample, chars: int) -> list[Chunk]:
    text = filled(sample, chars)
    chunked = chunk_file(sample.path, text)
    assert chunked.by_lines is None
    assert "".join(chunk.text for chunk in chunked.chunks) == text
    return chunked.chunks


def first_line(chunk: Chunk) -> str:
    return chunk.text.strip("\n").splitlines()[0]


def _holders(sample: Sample) -> set[str]:
    """The classes among the symbols: their members may fill chunks of their own."""
    return {symbol for symbol, _ in sample.outline if symbol.rpartition(".")[2] in ("Store", "Inner")}


def _statements(sample: Sample) -> set[str]:
    return {" " * indent + sample.statement for indent in range(13)} | {"\t" + sample.statement}


def defined(chunks: list[Chunk]) -> list[str]:
    return list(dict.fromkeys(name for chunk in chunks for name in chunk.defines))


@BY_PATH
@pytest.mark.parametrize("chars", [1, 900, 2_000, 6_000])
def test_every_name_that_a_source_introduces_is_known(sample: Sample, chars: int) -> None:
    assert sorted(set(defined(cut(sample, chars)))) == sorted(sample.defines)


@BY_PATH
def test_a_small_source_is_one_chunk(sample: Sample) -> None:
    [chunk] = cut(sample, 1)

    assert chunk.text == filled(sample, 1)


@BY_PATH
@pytest.mark.parametrize("chars", [500, 900, 1_300, 2_000, 2_330, 5_000])
def test_comments_decorators_and_the_first_statement_stay_with_a_definition(sample: Sample, chars: int) -> None:
    chunks = cut(sample, chars)
    holders = _holders(sample)

    for symbol, first in sample.outline:
        [opening] = [chunk.text for chunk in chunks if f"{first}\n" in chunk.text]
        body = opening.partition(f"{first}\n")[2]
        assert sample.statement in body or symbol in holders, first
        assert body.count("\n") > 1, first


@BY_PATH
def test_a_long_definition_labels_the_chunks_it_fills(sample: Sample) -> None:
    symbols = [chunk.symbol for chunk in cut(sample, 5_000)]
    holders = _holders(sample)

    assert [s for s, _ in sample.outline if s not in holders and symbols.count(s) < 3] == []
    assert None not in symbols


@BY_PATH
def test_a_body_that_is_too_long_is_cut_between_statements_and_keeps_its_symbol(sample: Sample) -> None:
    chunks = cut(sample, 5_000)

    continued = [pair for pair in pairwise(chunks) if first_line(pair[1]) in _statements(sample)]
    assert len(continued) > 2
    for before, chunk in continued:
        assert before.text.endswith("\n")
        assert chunk.symbol
        assert chunk.symbol.startswith(before.symbol or "?")
    assert all(MIN_CHARS <= len(chunk.text) <= MAX_CHARS for chunk in chunks[:-1])


def test_every_grammar_has_a_sample() -> None:
    known = {"sh": "shell", "py": "python", "js": "javascript", "ts": "typescript", "rs": "rust", "cs": "csharp"}
    known |= {"rb": "ruby", "jsx": "javascript"}

    assert {known.get(ext, ext) for ext in (s.path.rpartition(".")[2] for s in SAMPLES)} == set(GRAMMARS)
