"""The contract as pure Python: workloads, chains, routes, cohorts, expressions, values, errors.

Both planes, the SDK and the client call it. No IO, no clock, no randomness, no async.
"""
