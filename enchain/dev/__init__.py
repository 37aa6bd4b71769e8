"""Everything on one machine: etcd, control plane, routers and engine instances, started and ended together.

`enchain dev`, the demonstration and the end-to-end tests use it. It is for loopback and for development; it
starts the planes as processes, by module name, and imports neither.
"""
