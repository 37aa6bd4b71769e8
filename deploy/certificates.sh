#!/usr/bin/env bash
# Makes a throw-away authority and one certificate for all nodes of compose.yaml, in deploy/tls.
# For trying things out on one host. In production every process gets a certificate of its own.
set -euo pipefail
cd "$(dirname "$0")"
mkdir -p tls && cd tls
names="DNS:etcd,DNS:controlplane,DNS:router-1,DNS:router-2,DNS:terraform,DNS:process,DNS:localhost,IP:127.0.0.1"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj "/CN=enchain throw-away authority" -keyout ca-key.pem -out ca.pem
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=node" -keyout node-key.pem -out node.csr
openssl x509 -req -in node.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 30 -out node.pem \
  -extfile <(printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "$names")
openssl rand -hex 32 > plan.key
chmod 0644 node-key.pem plan.key  # read by the unprivileged user inside the containers
echo "made $(pwd)"
