"""`python -m kontext_lab.sandbox`: the sandbox in a process of its own."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from kontext_lab.sandbox.server import DEFAULT_PORT, serve


def _faults(text: str) -> Any:
    """Read faults: a JSON list is a script, a JSON object gives probabilities; a plain name always strikes."""
    if not text.lstrip().startswith(("[", "{")):
        return {text: 1.0}
    try:
        return json.loads(text)
    except ValueError:
        raise argparse.ArgumentTypeError("not valid JSON") from None


def _prices(text: str) -> Any:
    """Read a JSON object of prices."""
    try:
        return {str(name): float(price) for name, price in json.loads(text).items()}
    except (ValueError, AttributeError, TypeError):
        raise argparse.ArgumentTypeError("must be a JSON object of model: USD per picture") from None


def main(arguments: list[str] | None = None) -> int:
    """Run the sandbox; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m kontext_lab.sandbox",
        description="A local image service with simulated pictures. Free, needs no key.",
    )
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help="Port; 0 takes a free one (default: %(default)s)."
    )
    parser.add_argument("--shape", choices=["legacy", "hybrid", "current"], default="legacy")
    parser.add_argument("--envelope", choices=["new", "old"], default="new")
    parser.add_argument("--latency", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--log-delay", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--url-lifetime", type=float, default=3600.0, metavar="SECONDS")
    parser.add_argument("--balance", type=float, default=100.0, metavar="USD")
    parser.add_argument(
        "--prices", type=_prices, default=None, metavar="JSON", help="Set USD per picture by model."
    )
    parser.add_argument("--concurrency", type=int, default=None, metavar="N")
    parser.add_argument("--keys", nargs="*", default=None, metavar="KEY", help="Accept only these keys.")
    parser.add_argument("--faults", type=_faults, default=(), metavar="NAME|JSON")
    parser.add_argument(
        "--fetch",
        action="store_true",
        help="Load references from public addresses, not only from this machine.",
    )
    parser.add_argument("--seed", type=int, default=0, help="Seed of the faults' probabilities.")
    settings = vars(parser.parse_args(arguments))
    return serve(settings.pop("port"), **settings)


if __name__ == "__main__":
    sys.exit(main())
