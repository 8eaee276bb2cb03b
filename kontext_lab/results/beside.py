"""What can be laid beside pictures, given to results by whoever knows stores and can measure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from kontext_lab.metrics import Comparison
    from kontext_lab.results.cell import Output
    from kontext_lab.results.results import Results

__all__ = ["Beside"]


class Beside(Protocol):
    """Brings what results loaded from a store don't hold, and what is kept nowhere. May take long; in any thread."""

    def know(self, results: Results) -> object:
        """Fill in what was sent, and with it the references, where that can be known."""

    def comparison(self, output: Output) -> Comparison:
        """What an edit changed of its reference.

        Raises:
            KontextLabError: they can't be compared; says why.
        """
