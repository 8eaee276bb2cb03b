"""What the money tests share: a pacing without long waits, and the store's own words read back."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kontext_lab.runner.retry_policy import Pacing


@pytest.fixture(autouse=True)
def no_key_anywhere(tmp_path: Path) -> Iterator[None]:
    """Whatever a money test does, its marked key is in no file it leaves and in no line it logs, at any level."""
    logged = io.StringIO()
    handler = logging.StreamHandler(logged)
    root = logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield
    root.removeHandler(handler)
    root.setLevel(before)
    assert "marked-key" not in logged.getvalue()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [] == [str(path) for path in files if b"marked-key" in path.read_bytes()]


@pytest.fixture(scope="session")
def quick() -> Pacing:
    """All attempts, hardly any waiting; the service's log is asked at the end alone."""
    return Pacing(first=0.01, longest=0.05, store=0.2, asks=())


@pytest.fixture
def tracked(store_uri: str) -> Callable[..., list[Run]]:
    """The runs of a kind as MLflow holds them: `cell` or `sweep`."""

    def find(kind: str = "cell", **tags: Any) -> list[Run]:
        client = MlflowClient(tracking_uri=store_uri)
        experiments = [one.experiment_id for one in client.search_experiments()]
        query = " AND ".join(
            f"tags.`kontext.{key}` = '{text}'" for key, text in {"kind": kind, **tags}.items()
        )
        return list(client.search_runs(experiments, filter_string=query, max_results=1000))

    return find
