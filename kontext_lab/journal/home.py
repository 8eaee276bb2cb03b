"""Where the journal lies: one folder per person, for that person's eyes only."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_data_path

from kontext_lab.errors import ConfigError, shown

__all__ = ["HOME_VARIABLE", "home_folder", "private_folder"]

HOME_VARIABLE = "KONTEXT_LAB_HOME"


def home_folder(given: str | os.PathLike[str] | None = None) -> Path:
    """The folder in use: the one given, the environment's, else the platform's for user data. Touches nothing.

    Raises:
        ConfigError: what was given is no folder's name.
    """
    chosen = given or os.environ.get(HOME_VARIABLE, "").strip()
    if not chosen:
        return user_data_path("kontext-lab", appauthor=False)
    try:
        return Path(chosen).expanduser().absolute()
    except (TypeError, RuntimeError) as error:  # RuntimeError: ~ without a home
        raise ConfigError(f"home: {shown(chosen)} is no folder: {error}") from None


def private_folder(folder: Path) -> Path:
    """The folder, made if it isn't there, readable by its owner alone.

    Raises:
        ConfigError: it can't be made, or is no folder.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the name
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(
            f"the journal's folder {shown(str(folder))} can't be used: {reason}; {HOME_VARIABLE} sets another"
        ) from None
    return folder
