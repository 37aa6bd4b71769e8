"""The catalogue: workloads, engines, chains, routes and artifacts.

`controlplane.rpc` calls it. Each module is a thin shell that reads the store, asks a pure function what to
change, and commits with the revisions read. Nothing here knows gRPC servers.
"""
