"""How fast this machine trains: `make speed`."""
