"""The Python client: ask routers for resources, watch them come, and go on when a router dies.

`Client` is asynchronous, `SyncClient` its thin synchronous face. Both need only a plain install.
"""

from enchain.client.attachment import Reattached
from enchain.client.client import Client
from enchain.client.sync import SyncClient

__all__ = ["Client", "Reattached", "SyncClient"]
