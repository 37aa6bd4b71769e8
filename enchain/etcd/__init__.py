"""Generated from protos/enchain/etcd: the part of etcd's v3 API that we speak."""
