"""Measures how well questions find their files: NDCG@10, recall@10 and MRR, mean over questions, then over projects.

    python benchmarks/retrieval.py QUERIES.json CORPORA_DIR [--in-process] [--ablate] [--beside TREE]
        [--peer semble]

QUERIES.json is {project: {version, queries: [{query, files, type?}]}}; CORPORA_DIR holds one folder <project>-<version>
each. Starts `muniment up` on an empty data folder, indexes every project and asks by REST, one question after the
other; beside it, in this process and with exact vectors, what words alone, vectors alone, both, and both with the
ranking rules find. --in-process leaves the service out, --ablate adds what is found without each rule, --beside asks
again, as 20 clients with a question a second each, before and while another project indexes TREE. Prints Markdown.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from statistics import fmean
from typing import Final

import peer
from clients import Clients, Heard
from corpus import BOTH, MEANING, WORDS, Corpus
from passes import Api, follow
from scoring import TOP, Score
from stack import Stack, machine_line, percentile, percentiles, print_table, running_stack

from muniment.embedding.static import StaticEmbedder
from muniment.ranking import PLAIN, RULES, WEIGHTS, without

VARIANTS: Final = (
    ("words alone", PLAIN, WORDS),
    ("vectors alone", PLAIN, MEANING),
    ("words and vectors", PLAIN, BOTH),
    ("the same with every rule", WEIGHTS, BOTH),
)
WARM_UP: Final = 10  # questions
CLIENTS: Final = 20
ALONE: Final = 20.0  # seconds


@dataclass(frozen=True)
class Questions:
    """Of one project: ``files`` answer each, ``types`` says what sort of question each is, if the file does."""

    project: str
    tree: Path
    texts: list[str]
    files: list[list[str]]
    types: list[str]


@dataclass(frozen=True)
class Answers:
    """Of one project: for each question the distinct files found, best first, and its seconds.

    ``degraded``: how many questions were answered without a part that was away or late.
    """

    ranked: list[list[str]]
    seconds: list[float]
    degraded: int = 0

    def scores(self, asked: Questions) -> list[Score]:
        return [Score.of(ranked, files) for ranked, files in zip(self.ranked, asked.files, strict=True)]


def read_questions(queries: Path, corpora: Path) -> Iterator[Questions]:
    for project, wanted in json.loads(queries.read_text()).items():
        asked = wanted["queries"]
        yield Questions(
            project,
            (corpora / f"{project}-{wanted['version']}").resolve(),
            [each["query"] for each in asked],
            [each["files"] for each in asked],
            [each.get("type", "") for each in asked],
        )


def through_service(stack: Stack, asked: Questions) -> Answers:
    """Indexes the tree, then asks; nothing else is done meanwhile."""
    api = Api(stack.url)
    began = time.monotonic()
    started = api.post("/projects", name=asked.project, watch_paths=[str(asked.tree)], watch=False)
    follow(api, started["job_id"], began, pause=0.1, project=asked.project)
    for text in asked.texts[:WARM_UP]:
        _by_rest(api, asked.project, text)
    answers = [_by_rest(api, asked.project, text) for text in asked.texts]
    ranked, seconds, degraded = zip(*answers, strict=True)
    return Answers(list(ranked), list(seconds), sum(degraded))


def _by_rest(api: Api, project: str, question: str) -> tuple[list[str], float, bool]:
    began = time.perf_counter()
    answer = api.get(f"/projects/{project}/search", q=question, limit=TOP)
    return [hit["path"] for hit in answer["results"]], time.perf_counter() - began, bool(answer["degraded"])


def beside_indexing(stack: Stack, asked: Sequence[Questions], tree: Path) -> dict[str, Heard]:
    """What clients hear that share the questions of all projects, the projects by turns."""
    turns = zip_longest(*([(one.project, text) for text in one.texts] for one in asked))
    questions = [question for turn in turns for question in turn if question is not None]
    heard = {}
    with Clients(stack.url, CLIENTS, questions) as clients:
        clients.go()
        time.sleep(ALONE)
        heard["nothing else"] = clients.stop()
    with Clients(stack.url, CLIENTS, questions) as clients:
        clients.go()
        api, began = Api(stack.url), time.monotonic()
        started = api.post("/projects", name="beside", watch_paths=[str(tree.resolve())], watch=False)
        run = follow(api, started["job_id"], began, pause=0.5, project="beside")
        heard[f"{tree.name} is indexed, {run.seconds:.0f} s"] = clients.stop()
    return heard


def print_heard(heard: Mapping[str, Heard]) -> None:
    rows = []
    for beside, each in heard.items():
        seconds = [seconds for _, seconds in each.answers]
        shares = f"{each.degraded / len(seconds):.1%}", str(each.errors.total())
        rows.append((beside, percentiles(seconds, 50, 95, 99), *shares))
    print_table((f"{CLIENTS} clients, once a second each, beside", "p50 / p95 / p99", "degraded", "errors"), rows)


def of_corpora(asked: Sequence[Questions], *, ablate: bool) -> dict[str, list[list[Score]]]:
    """By variant and rule left out: the scores of each project."""
    variants = [*VARIANTS, *((f"without {rule.name}", without(rule), BOTH) for rule in RULES if ablate)]
    scores: dict[str, list[list[Score]]] = {name: [] for name, _, _ in variants}
    embedder = StaticEmbedder()
    for one in asked:
        with tempfile.TemporaryDirectory() as folder:
            corpus = Corpus(one.tree, Path(folder), embedder)
            for name, weights, by in variants:
                ranked = [corpus.ask(text, weights, by) for text in one.texts]
                scores[name].append(Answers(ranked, []).scores(one))
    return scores


def print_projects(name: str, asked: Sequence[Questions], answers: Sequence[Answers]) -> None:
    rows = []
    for one, found in zip(asked, answers, strict=True):
        score = Score.mean(found.scores(one))
        rows.append((one.project, str(len(one.texts)), *_figures(score), _latency(found.seconds), str(found.degraded)))
    mean = Score.mean([Score.mean(found.scores(one)) for one, found in zip(asked, answers, strict=True)])
    every = [seconds for found in answers for seconds in found.seconds]
    texts, degraded = sum(len(one.texts) for one in asked), sum(found.degraded for found in answers)
    rows.append(("**mean**", str(texts), *_figures(mean), _latency(every), str(degraded)))
    print_table((name, "questions", "NDCG@10", "recall@10", "MRR", "p50 / p95", "degraded"), rows)


def print_variants(asked: Sequence[Questions], scores: Mapping[str, Sequence[Sequence[Score]]]) -> None:
    """NDCG@10 by project, and the means; then by type of question, where the file tells it."""
    rows = []
    for name, by_project in scores.items():
        means = [Score.mean(each) for each in by_project]
        rows.append((name, *_figures(Score.mean(means)), *(f"{each.ndcg:.3f}" for each in means)))
    print_table(("in process", "NDCG@10", "recall@10", "MRR", *(one.project for one in asked)), rows)
    types = sorted({kind for one in asked for kind in one.types if kind})
    if types:
        by_type = [(name, *(_of_type(asked, each, kind) for kind in types)) for name, each in scores.items()]
        print_table(("NDCG@10 by type of question", *types), by_type)


def _of_type(asked: Sequence[Questions], scores: Sequence[Sequence[Score]], kind: str) -> str:
    wanted = [
        score.ndcg
        for one, each in zip(asked, scores, strict=True)
        for of, score in zip(one.types, each, strict=True)
        if of == kind
    ]
    return f"{fmean(wanted):.3f}"


def _figures(score: Score) -> tuple[str, str, str]:
    return f"{score.ndcg:.4f}", f"{score.recall:.4f}", f"{score.mrr:.4f}"


def _latency(seconds: Sequence[float]) -> str:
    return " / ".join(f"{percentile(seconds, cut) * 1000:.1f}" for cut in (50, 95)) + " ms"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("queries", type=Path)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--in-process", action="store_true", help="leave the running service out")
    parser.add_argument("--ablate", action="store_true", help="leave out one ranking rule after the other")
    parser.add_argument("--beside", type=Path, metavar="TREE", help="ask again while another project indexes this")
    parser.add_argument("--peer", choices=["semble"], help="asks it the same, with the same static model")
    parser.add_argument("--peer-venv", type=Path, help="where the peer is installed, or will be (default: temporary)")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    asked = list(read_questions(given.queries, given.corpora))
    print(f"{machine_line()}; {given.queries.name}\n")
    with ExitStack() as until_the_end:
        scratch = Path(until_the_end.enter_context(tempfile.TemporaryDirectory(prefix="muniment-bench-")))
        if not given.in_process:
            trees = [*(one.tree for one in asked), *([given.beside] if given.beside else [])]
            with running_stack(scratch / "data", *trees) as stack:
                print_projects("through the service", asked, [through_service(stack, one) for one in asked])
                if given.beside:
                    print_heard(beside_indexing(stack, asked, given.beside))
        print_variants(asked, of_corpora(asked, ablate=given.ablate))
        if given.peer:
            python = peer.prepare((given.peer_venv or scratch / "peer").resolve())
            ranked = [peer.rank(python, one.tree, one.texts, TOP, scratch) for one in asked]
            name = f"semble {ranked[0].version} (in its process)"
            print_projects(name, asked, [Answers(each.ranked, each.seconds) for each in ranked])


if __name__ == "__main__":
    main()
