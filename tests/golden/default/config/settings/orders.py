"""What the orders need from the world outside."""

from config.environment import env

# The payment service. `make run` starts a stand-in (orders/gateway_stand_in.py).
PAYMENT_GATEWAY_URL = env.str("PAYMENT_GATEWAY_URL", default="http://127.0.0.1:8001")

# How long one call to it may take. Seconds; well below the soft time limit of a task.
PAYMENT_GATEWAY_TIMEOUT = env.float("PAYMENT_GATEWAY_TIMEOUT", default=10.0)
