"""The store: etcd behind a port, its key space, and following it.

Both planes and the SDK call it. Only the rooms `etcd*` here speak etcd's wire contract.
"""
