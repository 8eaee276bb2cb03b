"""A study as one HTML page that opens anywhere. The page loads nothing from a network, and its own policy forbids it to."""

from kontext_lab.reports.output_files import writable_file

__all__ = ["writable_file"]
