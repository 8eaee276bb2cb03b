"""A local service that speaks the image service's contract with simulated pictures.

For trying the bench without a key and for every test of this project. It shares nothing with the client
side: its rules are written from the contract, so that a mistake on either side shows. Nothing runs until a
`Sandbox` is started.
"""

from kontext_lab.sandbox.billing import Call, KeyLeak
from kontext_lab.sandbox.faults import FAULTS, Fault
from kontext_lab.sandbox.http_server import PortInUseError
from kontext_lab.sandbox.painting import mark_box
from kontext_lab.sandbox.server import DEFAULT_PORT, Sandbox, serve

__all__ = [
    "DEFAULT_PORT",
    "FAULTS",
    "Call",
    "Fault",
    "KeyLeak",
    "PortInUseError",
    "Sandbox",
    "mark_box",
    "serve",
]
