"""The Python client: ask routers for resources, watch them come, and go on when a router dies.

`Client` is asynchronous, `SyncClient` its thin synchronous face. Both need only a plain install. `assign_arm`
answers which arm of an experiment a key gets, as routers and control plane do, without asking any.
"""

from enchain.chains.assignment import explain as assign_arm
from enchain.chains.units import Attributes
from enchain.client.attachment import Reattached
from enchain.client.client import Client
from enchain.client.sync import SyncClient

__all__ = ["Attributes", "Client", "Reattached", "SyncClient", "assign_arm"]
