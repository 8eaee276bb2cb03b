"""The command line: words in, one clear line out, exit codes that scripts can rely on.

Knows the lab and what it returns. Everything heavy is imported by the command that needs it.
"""

from kontext_lab.cli.main import main

__all__ = ["main"]
