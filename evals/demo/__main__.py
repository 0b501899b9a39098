"""Run the incidents: `python -m evals.demo`."""

from __future__ import annotations

import argparse
import json
import sys
import time

from rich.console import Console

from evals.demo import forking, report


def main() -> None:
    """Play every incident in both columns, print the table, exit 1 if our column is wrong."""
    parser = argparse.ArgumentParser(prog="evals.demo", description=__doc__)
    parser.add_argument("--model", default="scripted", help="any string of init_chat_model")
    parser.add_argument("--json", action="store_true", help="print the numbers as JSON")
    options = parser.parse_args()
    console = Console(stderr=options.json, highlight=False)
    began = time.monotonic()
    with report.progress(console) as progressing:
        forking.warm_up("evals.demo.worker", "evals.demo.burning", "evals.demo.mailing")
        # LangGraph takes seconds to import: here and in the fork server at the same time.
        from evals.demo.play import play_all

        try:
            results, spending, mailing = play_all(options.model, progressing)
        except (ImportError, ValueError) as error:
            sys.exit(f"--model {options.model}: {error}")
        except KeyboardInterrupt:
            sys.exit(130)
    seconds = time.monotonic() - began
    if options.json:
        print(json.dumps(report.plain(results, spending, mailing, seconds)))
    else:
        report.show(console, results, spending, mailing, seconds)
    ended: list[report.Ended] = [*results, *spending, *mailing]
    ours = [r.right for r in ended if r.column == "lg_production"]
    sys.exit(0 if all(ours) else 1)


if __name__ == "__main__":
    main()
