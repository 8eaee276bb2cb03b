"""The panel: run, watch, judge and compare sweeps in a notebook cell.

Widgets are created and changed on one thread, the kernel's; everything that takes time runs elsewhere, and its result is
handed back by the dispatcher. The panel knows the lab and what it returns, never the service, the store or the journal.
"""

from kontext_lab.panel.panel import Panel

__all__ = ["Panel"]
