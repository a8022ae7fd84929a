#!/usr/bin/env python3
"""Print the directions that a scenario is tested on, one a line."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from covost2.scenarios import SCENARIOS, choose_scenario


def main(cmd: Sequence[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scenario", choices=[*SCENARIOS], required=True)
    parser.add_argument("--langs", default="", help="Only these beside English: fr,de")
    args = parser.parse_args(cmd)
    try:
        scenario = choose_scenario(args.scenario, args.langs.replace(",", " ").split())
    except ValueError as e:
        sys.exit(f"Error: {e}")
    print("\n".join(direction.name for direction in scenario.test))


if __name__ == "__main__":
    main()
