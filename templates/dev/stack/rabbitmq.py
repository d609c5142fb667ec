"""The servers that the project needs."""

from dev import database, rabbitmq

SERVERS = (database, rabbitmq)
