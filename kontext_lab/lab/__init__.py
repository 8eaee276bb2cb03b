"""The lab: wires service, store, journal, runner and results together. The only place that knows all of them.

What people call is in `lab`; how a sweep is started, what a crash left, and how pictures and money are found
again are rooms of their own.
"""

from kontext_lab.lab.lab import Lab

__all__ = ["Lab"]
