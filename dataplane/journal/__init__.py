"""Operations in etcd: admitted, claimed, checkpointed, held, finished, pruned.

Only this room writes keys under `operations/` and `resources/`. Every write of an owner compares that it is
still the owner and that nobody else wrote the record. What to write is decided in `dataplane/routing`.
"""
