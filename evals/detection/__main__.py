"""`python -m evals.detection report | train`: judge by unseen sources, and make the weights."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import asdict
from pathlib import Path

from lg_production.security.detectors import Layered
from lg_production.security.ngram import read

from .corpus import DEV, digest, everything
from .generators import GRAMMAR
from .judging import calibrations, crossed, speed, summary
from .training import C, as_json

TARGET = Path(__file__).parents[2] / "lg_production/security/data/weights.json"
REPORT = Path(__file__).with_name("report.txt")


def main(command: str) -> None:
    """Report on folds of unseen sources; with `train`, fit on everything and write the weights."""
    examples = everything()
    verdicts, heads = crossed(examples)
    lines = [f"dev.jsonl sha256 {digest(DEV)}, {len(examples)} texts", *summary(verdicts)]
    if command == "train":
        found = {
            "version": f"{digest(DEV)[:12]}-{len(examples)}",
            "data": {path.name: digest(path) for path in (DEV, GRAMMAR)},
            "regularisation": C,
            "heads": {name: as_json(model) for name, model in heads.items()},
            "channels": {n: asdict(c) for n, c in calibrations(verdicts).items()},
        }
        TARGET.write_text(json.dumps(found), encoding="utf-8")
        lines.append(f"weights sha256 {digest(TARGET)}, {TARGET.stat().st_size} bytes")
    shuffled = examples[:]
    random.Random(3).shuffle(shuffled)
    middle, late = speed(shuffled, Layered(read(json.loads(TARGET.read_text()))))
    print("\n".join(lines))
    print(f"1 kB: median {middle:.2f} ms, 95th percentile {late:.2f} ms")
    if command == "train":
        REPORT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "report")
