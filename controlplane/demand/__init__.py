"""What is known of demand: the rate of requests of each workload.

The leader's loop that folds the outbox calls the readers in here. Nothing here writes.
"""
