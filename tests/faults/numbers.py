"""The numbers that the cells are run with. Seconds, unless a line says otherwise."""

# --- The load ---------------------------------------------------------------------------------

IDS = 200  # accepted ids in a cell of `make faults`, at the least
IDS_FULL = 1_000  # the same in `make faults-full`
SHORT = 80  # the same in `make test`
RATE = 25  # requests a second, at the least
LONGEST_LOAD = 40  # for how long they come in at the most: many come faster
RUSH = 60  # the same until enough is in flight
LULL = 5  # the same while what is in flight is waited for
CUSTOMERS = 8  # who ask at once
IN_FLIGHT = 20  # accepted and not final, when the fault hits, at the least
STEPS_AFTER = 2  # that follow the first step of an order
AFTERWARDS = 4  # for how long orders go on coming in once the fault is over

# --- The project: short limits, so that no cell waits for those of a production ---------------

TASK = 10  # config/limits.py
SOFT = 7  # config/limits.py
DRAIN = TASK + 5  # config/limits.py
GRACE = DRAIN + 15 + 60  # what follows from it in config/limits.py, and stands in compose.yaml
LONGEST_COUNTDOWN = 30  # config/settings/tasks.py
SILENCE = 12  # config/settings/broker.py: a worker on Redis that is silent for so long has died
HEARTBEAT = 5  # RabbitMQ: a silent connection is given up after twice as long
PUBLISH_TIMEOUT = 5  # config/settings/tasks.py; no cell changes it
POISON_STARTS = 3  # config/settings/tasks.py; no cell changes it

# Until what a dead worker had is handed out again: Redis misses it after its silence, and looks each
# sixth of it; RabbitMQ knows at once, or after two heartbeats.
REDELIVERY = {"redis": SILENCE + SILENCE / 6 + 3, "rabbitmq": 2 * HEARTBEAT + 5}

# --- Patience ---------------------------------------------------------------------------------

START = 120  # until web and workers are up
SETTLE = 45  # beyond the redelivery, until every id is final
BOUNDED_REQUEST = 2 * PUBLISH_TIMEOUT + 5  # the longest answer while the broker is away
RESTART = 0.5  # the pause of the supervisor before it starts anew what has died
SHARE = 0.8  # of the throughput before, that must be reached again

# Tasks at once in a worker process. Small enough that two processes have a backlog.
CONCURRENCY = {"prefork": 4, "gevent": 20, "threads": 10, "eventlet": 20, "solo": 1}
# How long the payment service takes: wide pools wait longer, so that as much is in flight.
PAYMENT = {"prefork": 0.2, "gevent": 0.8, "threads": 0.5, "eventlet": 0.8, "solo": 0.02}
