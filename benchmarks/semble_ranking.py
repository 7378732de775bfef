"""Runs in the peer's own environment: `python semble_ranking.py TREE MODEL TOP < QUESTIONS.json`

Prints one line of JSON: for each question the TOP distinct files, best first, and the seconds that it took.
"""

import json
import sys
import time
from importlib.metadata import version

from semble import SembleIndex

CHUNKS_PER_FILE = 10  # chunks asked for each file wanted: several of the best may be of one file


def main() -> None:
    tree, model, top = sys.argv[1:]
    questions = json.load(sys.stdin)
    index = SembleIndex.from_path(tree, model_path=model)  # over code alone, which is how it ranks best
    ranked, seconds = [], []
    index.search(questions[0])
    for question in questions:
        began = time.perf_counter()
        found = index.search(question, top_k=int(top) * CHUNKS_PER_FILE)
        seconds.append(time.perf_counter() - began)
        ranked.append(list(dict.fromkeys(each.chunk.file_path for each in found))[: int(top)])
    print(json.dumps({"version": version("semble"), "ranked": ranked, "seconds": seconds}))


if __name__ == "__main__":
    main()
