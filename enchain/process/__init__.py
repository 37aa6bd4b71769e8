"""How each of our processes behaves: lifecycle, servers, channels, TLS, identity, errors, logs, traces."""
