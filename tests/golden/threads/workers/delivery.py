"""The class of every task: what holds for a plain `@shared_task`."""

# celery-types has these classes as they once were.
# mypy: disable-error-code="arg-type, attr-defined, override"

from functools import partial
from typing import Any

from celery.contrib.django.task import DjangoTask
from celery.exceptions import Reject, TaskPredicate
from celery.utils import uuid
from celery.utils.log import get_logger
from django.db import Error, transaction

from workers import failures, outbox, payload, poison, publishing

logger = get_logger(__name__)


class Task(DjangoTask):
    """A task that is sent in bounded time, and kept in the database where the broker is away."""

    Request = "workers.request:Request"

    def apply_async(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any
    ) -> Any:
        """Send the task, or keep it as a row that is sent later.

        Raises payload.PayloadError, and where neither the broker nor the database takes it, what
        the broker's side raised.
        """
        send = super().apply_async
        # In place, or to another broker than ours, whose messages we cannot keep.
        if self.app.conf.task_always_eager or options.get("connection"):
            return send(args, kwargs, task_id, **options)
        args, kwargs = self._checked(args, kwargs)
        task_id = task_id or uuid()
        body = outbox.message(self.name, args, kwargs, self._complete(options))

        def publish(**how: Any) -> Any:
            return send(args, kwargs, task_id, **payload.countable(how))

        try:
            return publishing.bounded(publish, **options)
        except publishing.refusals() as refusal:
            # A retry leaves the transaction that it is called in, and would take the row with it.
            if (
                options.get("retries")
                and transaction.get_connection(outbox.database()).in_atomic_block
            ):
                raise
            try:
                row = outbox.put(self.name, task_id, body, replace=True)
            except Exception as error:
                logger.error("Neither sent nor kept: %s[%s]: %s", self.name, task_id, error)
                raise refusal from error
            logger.warning("%s is kept in the outbox, to be sent later: %s", row, refusal)
            return self.AsyncResult(task_id)

    def delay_on_commit(self, *args: Any, **kwargs: Any) -> Any:
        """Send the task once the current transaction is committed; see apply_async_on_commit."""
        return self.apply_async_on_commit(args, kwargs)

    def apply_async_on_commit(
        self, args: Any = None, kwargs: Any = None, task_id: str | None = None, **options: Any
    ) -> Any:
        """Have the task sent if the current transaction is committed, whatever dies then.

        Outside a transaction it is sent at once. Raises payload.PayloadError, QueueNotFound where no
        such queue is declared, and what the database raises where it does not take the row.
        """
        if self.app.conf.task_always_eager:
            send = partial(self.apply_async, args, kwargs, task_id, **options)
            return transaction.on_commit(send, using=outbox.database())
        args, kwargs = self._checked(args, kwargs)
        # Raises where there is no such queue, while somebody can still be told.
        self.app.amqp.router.route(dict(options), self.name, args or (), kwargs or {}, self)
        body = outbox.message(self.name, args, kwargs, self._complete(options))
        return outbox.accept(self.name, body, task_id)

    def retry(self, *args: Any, **options: Any) -> Any:
        """Try the task again later. Where that cannot be sent, its message goes back to the broker."""
        try:
            return super().retry(*args, **options)
        except Reject as rejected:
            # Celery's own would throw the message away.
            if isinstance(rejected.reason, (Error, *publishing.refusals())):
                raise failures.give_back(self, rejected.reason) from rejected
            raise rejected.reason from rejected

    def before_start(self, task_id: str, args: Any, kwargs: Any) -> None:
        """Refuse a task that kills its process (workers/poison.py)."""
        poison.guard(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it; park it where it fails for good, before anybody acknowledges its message.

        Raises Reject where the database is away, and the message goes back, and Ignore where another
        worker has done the task.
        """
        request: Any = self.request_stack.top
        # Called in place, by a test or another task, it is no message.
        if not request or request.called_directly or request.is_eager or request._protected:
            return super().__call__(*args, **kwargs)
        try:
            return super().__call__(*args, **kwargs)
        except TaskPredicate:  # it is tried again, or wants something else
            raise
        except MemoryError as error:
            failures.keep(self, error)
            # Celery ends the whole worker over a MemoryError, and with it all that runs beside.
            raise RuntimeError(f"Out of memory: {error}") from error
        except Exception as error:
            failures.keep(self, error)
            raise

    def _checked(self, args: Any, kwargs: Any) -> tuple[Any, Any]:
        """Return the arguments as they travel. Raises TypeError where the task does not take them."""
        if self.typing and (takes := getattr(self, "__header__", None)):
            takes(*(args or ()), **(kwargs or {}))
        dump = self._dump_pydantic_arguments
        return dump(args, kwargs) if dump else (args, kwargs)

    def _complete(self, options: dict[str, Any]) -> dict[str, Any]:
        """Return the options of a message, those of the task included."""
        own = {name: value for name, value in self._get_exec_options().items() if value is not None}
        return {**own, "ignore_result": self.ignore_result, **options}
