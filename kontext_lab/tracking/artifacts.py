"""Artifacts into the store and out of it: straight from disk where they lie there, else through MLflow.

MLflow's own calls remember a run's folder for as long as the process lives, and make folders wherever they are
told to. So what lies on this machine is read and written here.
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
        uri: the store.
        run_id: the run.
        root: the run's artifact URI.
        path: relative to that.
        sha256: hex digest of its bytes, or "" where any bytes will do.
        size: how many bytes, or 0 where that isn't known.
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
            OutputMissing: it is not in the store any more, or what is there are not the bytes that were logged.
            TrackingError: the store can't be reached.
        """
        with mlflow_trouble(f"run {self.run_id[:8]}: {self.path} can't be loaded"):
            folder = local_folder(self.root)
            data = self._sent() if folder is None else self._read(folder)
        return self._checked(data)

    def verify(self, folder: Path) -> None:
        """Look whether the exact bytes are in a folder of the run's artifacts.

        Raises:
            OutputMissing: they are not.
            TrackingError: the folder can't be reached.
        """
        self._checked(self._read(folder))

    def _checked(self, data: bytes) -> bytes:
        if self.sha256 and hashlib.sha256(data).hexdigest() != self.sha256:
            of = f" of {self.size:,}" if self.size else ""
            raise OutputMissing(f"{self._what} was changed: {len(data):,}{of} bytes, not those that came")
        return data

    @property
    def place(self) -> str:
        """Where the experiment's artifacts lie, for a person: a folder, or the beginning of a URI."""
        folder = local_folder(self.root)
        if folder is not None:
            return str(root_of(folder))
        return masked(self.root.rpartition("/artifacts")[0].rpartition("/")[0])

    def is_missing(self, *, thorough: bool = False) -> bool:
        """Whether it is gone, or is not what was logged.

        Args:
            thorough: read it where it lies on this machine, and ask for it where it doesn't; else only a file on
                this machine is looked at, for its size.

        Raises:
            TrackingError: it can't be reached, so that nobody knows.
        """
        folder = local_folder(self.root)
        if thorough:
            try:
                self()
            except OutputMissing:
                return True
        if folder is None or thorough:
            return False
        try:
            found = (folder / self.path).stat().st_size
        except (FileNotFoundError, NotADirectoryError):
            if is_gone(self.uri, root_of(folder)):
                return True
            raise TrackingError(_out_of_reach(root_of(folder))) from None
        except OSError as error:
            raise TrackingError(f"{self._what} can't be looked at: {error.strerror}") from None
        return bool(self.size) and found != self.size

    @property
    def _what(self) -> str:
        return f"run {self.run_id[:8]}: {self.path}"

    def _read(self, folder: Path) -> bytes:
        try:
            return (folder / self.path).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            root = root_of(folder)
            if is_gone(self.uri, root):
                raise OutputMissing(f"{self._what} is missing, looked for in {root}") from None
            raise TrackingError(_out_of_reach(root)) from None

    def _sent(self) -> bytes:
        client = connect(self.uri)
        with tempfile.TemporaryDirectory() as temporary:
            try:
                return Path(client.download_artifacts(self.run_id, self.path, temporary)).read_bytes()
            except Exception:
                # A store that lists the folder without the file has no such file; one that lists nothing is away.
                listed = client.list_artifacts(self.run_id, str(PurePosixPath(self.path).parent))
                if self.path in [item.path for item in listed]:
                    raise
        raise OutputMissing(f"{self._what} is missing, looked for in {self.place}")


def root_of(folder: Path) -> Path:
    """The experiment's folder, of a run's: MLflow puts `<run>/artifacts` into it."""
    return folder.parent.parent


def _out_of_reach(root: Path) -> str:
    return (
        f"the artifacts in {root} can't be reached: the folder is not there; "
        "if it is on another disk or machine, mount it, and try again"
    )


def put(store: Store, run: Run, fill: Callable[[Path], object]) -> None:
    """Put artifacts into a run.

    Args:
        store: where.
        run: which.
        fill: writes them into the folder it is given.

    Raises:
        TrackingError: the folder of the experiment is not there.
    """
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
    """Names of what lies in a folder of a run's artifacts; none where there is no such folder."""
    place = local_folder(run.info.artifact_uri)
    if place is None:
        listed = store.client.list_artifacts(run.info.run_id, path or None)
        return [PurePosixPath(item.path).name for item in listed]
    folder = place / path
    return sorted(one.name for one in folder.iterdir()) if folder.is_dir() else []


def fetch(store: Store, run: Run, path: str, folder: Path) -> None:
    """Copy an artifact, or a folder of them, out of a run into a folder, under the same name.

    Raises:
        OSError: it is not there.
    """
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
    """A folder of a run's artifacts, to be read only: itself where it lies on this machine, else a copy."""
    place = local_folder(run.info.artifact_uri)
    if place is not None:
        yield place / path
        return
    with tempfile.TemporaryDirectory() as temporary:
        if names(store, run, path):
            store.client.download_artifacts(run.info.run_id, path, temporary)
        yield Path(temporary) / path
