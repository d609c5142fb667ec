"""The servers that the project needs."""

from dev import database, valkey

SERVERS = (database, valkey)
