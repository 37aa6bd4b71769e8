"""Recommendations without a cluster: from measured demand in a file and documents in another.

`enchain recommend --from` starts it as a process of its own. It asks no server and writes nothing but the
picture that was asked for.
"""
