"""The servers that the project needs."""

from dev import database, rabbitmq, valkey

SERVERS = (database, rabbitmq, valkey)
