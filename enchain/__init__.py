"""The contract in Python, and what users import: generated messages, pure rules, client, command, engine SDK."""
