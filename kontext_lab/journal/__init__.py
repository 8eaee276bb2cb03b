"""Files of requests that are or may be paid for and are not in the store yet; they survive a power cut.

Knows folders, files and locks; neither service nor store, widgets nor figures.
"""

from kontext_lab.journal.attempt_folder import AttemptFolder, Intent
from kontext_lab.journal.journal import Journal, SweepFacts, SweepJournal, home_folder
from kontext_lab.journal.permits import FolderPermits, Permit, QueuePermits
from kontext_lab.journal.store_index import StoreIndex, store_is_there

__all__ = [
    "AttemptFolder",
    "FolderPermits",
    "Intent",
    "Journal",
    "Permit",
    "QueuePermits",
    "StoreIndex",
    "SweepFacts",
    "SweepJournal",
    "home_folder",
    "store_is_there",
]
