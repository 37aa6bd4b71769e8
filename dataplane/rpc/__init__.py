"""What routers serve: `ProvisioningService`, thin, over routing, journal and dispatch.

Requests are checked here, in one place per method; closing a stream never cancels an operation.
"""
