"""What the money tests share: a pacing without long waits, and the store's own words read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.entities import Run

from kontext_lab.pacing import Pacing


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
