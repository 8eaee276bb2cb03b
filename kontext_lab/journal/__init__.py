"""What is paid for but not in the store yet: on disk, readable by a person, safe against a power cut.

Knows folders, files and locks; neither service nor store, widgets nor figures.
"""

from kontext_lab.journal.attempt_folder import AttemptFolder, Intent
from kontext_lab.journal.home import home_folder
from kontext_lab.journal.journal import Journal, SweepFacts, SweepJournal
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
