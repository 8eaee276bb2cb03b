"""Artifacts, read and written directly if they lie on this machine, else through MLflow.

MLflow's own calls remember a run's folder as long as the process lives, and make folders wherever a URI leads.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from mlflow.entities import Run

from kontext_lab.errors import OutputMissing, TrackingError
from kontext_lab.redaction import masked
from kontext_lab.tracking.artifact_location import check_writable, is_gone, local_folder
from kontext_lab.tracking.client_calls import connect
from kontext_lab.tracking.store import Store, mlflow_trouble

__all__ = ["Artifact", "fetch", "fetched", "names", "put", "root_of"]


@dataclass(frozen=True)
class Artifact:
    """One artifact of a run; calling it loads the bytes. Pickles, so that results can travel.

    Attributes:
        root: the run's artifact URI.
        path: relative to that.
        sha256: hex digest of its bytes, or "" if it is unknown.
        size: number of bytes, or 0 if it is unknown.
    """

    uri: str = field(repr=False)  # may hold a password
    run_id: str
    root: str = field(repr=False)  # as may this, of sftp:// and the like
    path: str
    sha256: str = ""
    size: int = 0

    def __call__(self) -> bytes:
        """The artifact's bytes.

        Raises:
            OutputMissing: it is not in the store any more, or its bytes are not those that were logged.
            TrackingError: the store can't be reached.
        """
        with mlflow_trouble(f"run {self.run_id[:8]}: {self.path} can't be loaded"):
            folder = local_folder(self.root)
            return self._download() if folder is None else self.read(folder)

    def read(self, folder: Path) -> bytes:
        """The artifact's bytes from a folder on this machine that holds the run's artifacts; raises as a call does."""
        try:
            data = (folder / self.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            self._check_reachable(folder)
            raise self._missing from None
        return self._checked(data)

    @property
    def place(self) -> str:
        """The location of the experiment's artifacts, for a person: a folder, or the beginning of a URI."""
        folder = local_folder(self.root)
        if folder is not None:
            return str(root_of(folder))
        return masked(self.root.rpartition("/artifacts")[0].rpartition("/")[0])

    def is_missing(self, *, thorough: bool = False) -> bool:
        """True if it is gone, or is not what was logged; a TrackingError if it can't be reached.

        `thorough` reads the bytes, wherever they lie; else only the size of a file on this machine is compared.
        """
        if thorough:
            try:
                self()
            except OutputMissing:
                return True
            return False
        folder = local_folder(self.root)
        if folder is None:
            return False
        try:
            size = (folder / self.path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            self._check_reachable(folder)
            return True
        except OSError as error:
            raise TrackingError(f"{self._name} can't be read: {error.strerror}") from None
        return bool(self.size) and size != self.size

    @property
    def _name(self) -> str:
        return f"run {self.run_id[:8]}: {self.path}"

    @property
    def _missing(self) -> OutputMissing:
        return OutputMissing(f"{self._name} is missing, looked for in {self.place}")

    def _checked(self, data: bytes) -> bytes:
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            of = f" of {self.size:,}" if self.size else ""
            raise OutputMissing(
                f"{self._name} was changed: {len(data):,}{of} bytes, not those that were logged"
            )
        return data

    def _check_reachable(self, folder: Path) -> None:
        """Check that a file which is not found in a run's folder is gone, and not only out of reach."""
        root = root_of(folder)
        if not is_gone(self.uri, root):
            raise TrackingError(
                f"the artifacts in {root} can't be reached: the folder is not there; "
                "if it is on another disk or machine, mount it, and try again"
            )

    def _download(self) -> bytes:
        client = connect(self.uri)
        with tempfile.TemporaryDirectory() as temporary:
            try:
                data = Path(client.download_artifacts(self.run_id, self.path, temporary)).read_bytes()
            except Exception:
                # A store that lists the folder without the file has no such file; one that lists nothing is away.
                entries = client.list_artifacts(self.run_id, str(PurePosixPath(self.path).parent))
                if self.path in [entry.path for entry in entries]:
                    raise
            else:
                return self._checked(data)
        raise self._missing


def root_of(folder: Path) -> Path:
    """The experiment's folder, from a run's: MLflow puts `<run>/artifacts` into it."""
    return folder.parent.parent


def put(store: Store, run: Run, fill: Callable[[Path], object]) -> None:
    """Put artifacts into a run: `fill` writes them into the folder it is given."""
    place = local_folder(run.info.artifact_uri)
    if place is not None:
        check_writable(store.uri, root_of(place))
        # Sending would ask for the run once more and copy every file: a fifth of a cell's whole time.
        place.mkdir(parents=True, exist_ok=True)
        fill(place)
        return
    with tempfile.TemporaryDirectory() as temporary:
        fill(Path(temporary))
        store.client.log_artifacts(run.info.run_id, temporary)


def names(store: Store, run: Run, path: str = "") -> list[str]:
    """Names of the files and folders in a folder of a run's artifacts; none if there is no such folder."""
    place = local_folder(run.info.artifact_uri)
    if place is None:
        listed = store.client.list_artifacts(run.info.run_id, path or None)
        return [PurePosixPath(item.path).name for item in listed]
    folder = place / path
    return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []


def fetch(store: Store, run: Run, path: str, folder: Path) -> None:
    """Copy an artifact, or a folder of them, out of a run into a folder, under the same name."""
    place = local_folder(run.info.artifact_uri)
    if place is None:
        store.client.download_artifacts(run.info.run_id, path, str(folder))
    elif (place / path).is_dir():
        shutil.copytree(place / path, folder / path, dirs_exist_ok=True)
    else:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place / path, folder / path)


@contextmanager
def fetched(store: Store, run: Run, path: str = "") -> Iterator[Path]:
    """A folder of a run's artifacts, for reading: itself if it lies on this machine, else a copy."""
    place = local_folder(run.info.artifact_uri)
    if place is not None:
        yield place / path
        return
    with tempfile.TemporaryDirectory() as temporary:
        if names(store, run, path):
            store.client.download_artifacts(run.info.run_id, path, temporary)
        yield Path(temporary) / path
