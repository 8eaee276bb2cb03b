"""What is paid for but not in the store yet: on disk, readable by a person, safe against a power cut.

Knows folders, files and locks; neither service nor store, widgets nor figures.
"""

from kontext_lab.journal.desk import Desk, Intent
from kontext_lab.journal.elsewhere import Elsewhere, store_is_there
from kontext_lab.journal.home import home_folder
from kontext_lab.journal.journal import Journal, SweepFacts, SweepJournal
from kontext_lab.journal.permits import FolderPermits, Permit, QueuePermits

__all__ = [
    "Desk",
    "Elsewhere",
    "FolderPermits",
    "Intent",
    "Journal",
    "Permit",
    "QueuePermits",
    "SweepFacts",
    "SweepJournal",
    "home_folder",
    "store_is_there",
]
