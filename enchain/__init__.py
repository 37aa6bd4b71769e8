"""The contract in Python, and what users import: messages, pure rules, client, command, engine SDK."""
