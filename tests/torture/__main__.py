"""`python -m tests.torture [--seconds N] [--seed S] [--url URL]`"""

from __future__ import annotations

import argparse
import sys
import warnings
from contextlib import nullcontext

from lg_production.core.embedded import embedded_server

from .campaign import Campaign, harmless, report


def main() -> int:
    """Run a campaign and print its counts; 1 if there was harm."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--url", help="a server, database postgres; else an embedded one")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    with nullcontext(given.url) if given.url else embedded_server() as url:
        campaign = Campaign(url, given.seconds, given.seed)
        counts = campaign.run()
    sys.stdout.write(report(campaign) + "\n")
    return 0 if harmless(counts) else 1


if __name__ == "__main__":
    sys.exit(main())
