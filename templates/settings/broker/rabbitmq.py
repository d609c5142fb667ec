"""The broker: RabbitMQ, with quorum queues."""

import ssl

from environs import validate
from kombu import Exchange, Queue

from config.environment import env
from config.queues import QUEUES
from config.settings.tasks import PUBLISH_TIMEOUT

CELERY_BROKER_URL = env.str(
    "CELERY_BROKER_URL",
    validate=validate.Regexp(
        r"amqps?://[^/]+/.+",
        error="is not of the form amqp://USER:PASSWORD@HOST:PORT/VHOST (amqps:// for TLS; the "
        "virtual host / is written as another slash)",
    ),
)

# A message counts as sent once the broker has it on the disks of a majority, and not before;
# workers/publishing.py bounds the wait.
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "confirm_publish": True,
    # Whatever else waits for an answer of RabbitMQ: one that went silent would hold it for ever.
    "read_timeout": 3 * PUBLISH_TIMEOUT,
    "write_timeout": 3 * PUBLISH_TIMEOUT,
}

# Only for amqps://, which alone would accept any certificate.
CELERY_BROKER_USE_SSL = (
    {"cert_reqs": ssl.CERT_REQUIRED, "server_hostname": None}
    if CELERY_BROKER_URL.startswith("amqps://")
    else None
)

# A topic exchange: on any other, a task with a countdown would block a slot until it is due.
_tasks = Exchange("tasks", type="topic")
# How often a message may come back, the last resort behind POISON_STARTS: also while the database is
# away, every few seconds. RabbitMQ 4 drops it after 20 unless it has somewhere to go. An argument of a queue that exists cannot be changed: give the
# queue another name in config/queues.py, or delete it once it is empty.
DELIVERY_LIMIT = 1_000
# Where it goes then; workers/rabbitmq.py declares it.
DEAD_LETTER_QUEUE = "dead_letters"
# For how long RabbitMQ lets a worker have a message: its own `consumer_timeout`, which no client can
# ask for. Seconds.
CONSUMER_TIMEOUT = 30 * 60

# Declared in config/queues.py, nowhere else.
CELERY_TASK_QUEUES = [
    Queue(
        name,
        _tasks,
        routing_key=name,
        queue_arguments={
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": DEAD_LETTER_QUEUE,
            # A dead letter leaves its queue once the other one has it; that needs the second line.
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )
    for name in QUEUES
]
# The type of the exchange that Celery declares for everything else.
CELERY_TASK_DEFAULT_EXCHANGE_TYPE = "topic"
# Queues that Celery declares by itself survive the loss of a node as well.
CELERY_TASK_DEFAULT_QUEUE_TYPE = "quorum"
# Declares the queue of the dead letters, among others.
CELERY_IMPORTS = ["workers.rabbitmq"]
