"""The service over HTTP: one request out, one answer back, failures sorted by what they mean for the money.

The only package that imports `requests` and `urllib3`. It knows requests and answers, and nothing of sweeps, journals,
stores or the sandbox. It never sends a request twice.
"""

from kontext_lab.client.client import KontextClient
from kontext_lab.client.keys import SANDBOX_KEY, key_from_environment
from kontext_lab.client.settings import ClientSettings

__all__ = ["SANDBOX_KEY", "ClientSettings", "KontextClient", "key_from_environment"]
