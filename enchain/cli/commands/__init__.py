"""What each command does. `enchain.cli.main` loads them by name; they call the client and print."""
