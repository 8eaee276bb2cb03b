"""What is paid for but not in the store yet: on disk, readable by a person, safe against a power cut.

Knows folders, files and locks; neither service nor store, widgets nor figures.
"""

from kontext_lab.journal.home import home_folder

__all__ = ["home_folder"]
