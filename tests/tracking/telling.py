"""Commands in a process of their own that logs everything and shows every error whole.

Called with cases as JSON: `{name: [environment, [command, …]]}`. Before each it prints `=== name`; of what was
raised it prints the traceback with its causes, the arguments and the pickle.
"""

from __future__ import annotations

import json
import logging
import os
import pickle
import sys
import traceback
from typing import Any

from kontext_lab import redaction
from kontext_lab.cli.main import cli, run_command

_main = cli.main


def shown(*arguments: Any, **options: Any) -> Any:
    """The command, and the whole of what it raises."""
    try:
        return _main(*arguments, **options)
    except Exception as error:
        print("raised", *traceback.format_exception(error), error.args, vars(error), pickle.dumps(error))
        raise


def main() -> None:
    """Run them all."""
    logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
    cli.main = shown
    before = dict(os.environ)
    for name, (setting, commands) in json.loads(sys.argv[1]).items():
        print(f"=== {name}")
        redaction._remembered.clear()  # what an earlier case gave away is known to no process of its own
        os.environ.clear()
        os.environ.update(before, **setting)
        for command in commands:
            run_command(command)


if __name__ == "__main__":
    main()
