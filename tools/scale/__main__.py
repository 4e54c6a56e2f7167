"""What many agents do, and what a load needs.

python -m tools.scale agents                    the simulation
python -m tools.scale sizing 10 1000 100000     cores, disk and partitions for requests a second
python -m tools.scale --write                   the tables and the picture of docs/scale.md and docs/sizing.md
"""

from __future__ import annotations

import argparse

from tools.scale import pages, sizing


def main() -> None:
    """Print or write."""
    parser = argparse.ArgumentParser(prog="python -m tools.scale")
    parser.add_argument("what", nargs="?", choices=("agents", "sizing"))
    parser.add_argument("requests", nargs="*", type=int, help="a second, for sizing")
    parser.add_argument("--write", action="store_true", help="the tables and the picture of the pages")
    chosen = parser.parse_args()
    if chosen.what == "agents":
        for part in (pages.connections(), pages.storm_table(pages.storms()), pages.rebalances(), pages.skew()):
            print(f"{part}\n")
    elif chosen.what == "sizing":
        print(f"{pages.assumptions()}\n")
        print(pages.examples(sizing.load_measured(), chosen.requests or pages.EXAMPLES))
    if chosen.write:
        for path, text in pages.contents().items():
            path.write_text(text)


if __name__ == "__main__":
    main()
