"""Artifacts out of the store, as bytes; read straight from disk where they lie there."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from kontext_lab.tracking.calls import connect
from kontext_lab.tracking.store import mlflow_trouble

__all__ = ["Artifact", "local_folder"]


@dataclass(frozen=True)
class Artifact:
    """One artifact of a run; calling it loads the bytes. Pickles, so that results can travel.

    Attributes:
        uri: the store.
        run_id: the run.
        root: the run's artifact URI.
        path: relative to that.
    """

    uri: str = field(repr=False)  # may hold a password
    run_id: str
    root: str = field(repr=False)  # as may this, of sftp:// and the like
    path: str

    def __call__(self) -> bytes:
        """The artifact's bytes.

        Raises:
            TrackingError: the store can't be reached, or has no such artifact.
        """
        with mlflow_trouble(f"run {self.run_id[:8]}: {self.path} can't be loaded"):
            folder = local_folder(self.root)
            if folder is not None:
                return (folder / self.path).read_bytes()
            with tempfile.TemporaryDirectory() as temporary:
                client = connect(self.uri)
                return Path(client.download_artifacts(self.run_id, self.path, temporary)).read_bytes()


def local_folder(artifact_uri: str) -> Path | None:
    """The folder a run's artifacts lie in, or None where they have to be asked for."""
    parts = urlsplit(artifact_uri)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(artifact_uri) if not parts.scheme else None
