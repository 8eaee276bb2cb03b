"""The service over HTTP: one request out, one answer back, failures sorted by what they mean for money.

The only place that imports `requests` and `urllib3`. It knows requests and answers, and nothing of sweeps,
journals, stores or the sandbox; it never sends a request twice.
"""

from kontext_lab.client.account import LogRow
from kontext_lab.client.answers import AnswerItem, ParsedAnswer
from kontext_lab.client.client import KontextClient
from kontext_lab.client.keys import SANDBOX_KEY, key_from_environment
from kontext_lab.client.settings import ClientSettings
from kontext_lab.request.attempt import RawAnswer

__all__ = [
    "SANDBOX_KEY",
    "AnswerItem",
    "ClientSettings",
    "KontextClient",
    "LogRow",
    "ParsedAnswer",
    "RawAnswer",
    "key_from_environment",
]
