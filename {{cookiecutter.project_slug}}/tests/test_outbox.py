"""Tasks that wait in the database until the broker has them, and effects that happen once."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery.exceptions import QueueNotFound, Retry
from celery.signals import before_task_publish
from django.conf import settings
from django.db import connection, transaction
from django.test.utils import override_settings
from django.utils import timezone
from kombu.exceptions import EncodeError, OperationalError

from accounts.tasks import remove_expired_sessions
from config.celery import app
from config.queues import QUEUES
from dev import ports
from workers import outbox, publishing, relay, retention
from workers.models import DeadLetter, Effect, OutboxMessage, Start
from workers.once import first_time
from workers.payload import PayloadError

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

task: Any = remove_expired_sessions


@pytest.fixture(autouse=True)
def not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that this process has not missed."""
    monkeypatch.setattr(publishing, "_away_until", 0)


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that refuses."""
    url = urlsplit(app.conf.broker_url)._replace(netloc=f"127.0.0.1:{ports.free_port()}")
    monkeypatch.setattr(app.conf, "broker_write_url", url.geturl())
    # The connections that are open.
    monkeypatch.setattr(app, "_pool", None)
    monkeypatch.setattr(app.amqp, "_producer_pool", None)


@pytest.fixture
def published() -> Iterator[list[dict[str, Any]]]:
    """What goes to the broker."""
    messages: list[dict[str, Any]] = []

    def note(**message: Any) -> None:
        messages.append(message)

    before_task_publish.connect(note)
    yield messages
    before_task_publish.disconnect(note)


def test_all_that_a_task_was_sent_with_survives_the_row(published: list[dict[str, Any]]) -> None:
    options = {
        "task_id": "mine",
        "countdown": 60,
        "expires": 3600,
        "queue": QUEUES[-1],
        "priority": 3,
        "headers": {"from": "a test"},
        "link": task.si(),
        "link_error": [task.si()],
        "ignore_result": False,
        "time_limit": 7,
    }
    with transaction.atomic():
        result = task.apply_async_on_commit(**options)
        assert OutboxMessage.objects.get().task_id == result.id == "mine"
        assert not published
    (message,) = published
    assert not OutboxMessage.objects.exists()
    headers, (_, _, embedded) = message["headers"], message["body"]
    now = datetime.now(UTC)
    for name, seconds in {"eta": 60, "expires": 3600}.items():
        assert abs((datetime.fromisoformat(headers[name]) - now).total_seconds() - seconds) < 30
    assert (headers["id"], headers["from"], headers["ignore_result"]) == ("mine", "a test", False)
    assert headers["timelimit"][0] == 7
    assert message["properties"]["priority"] == 3
    assert QUEUES[-1] in message["routing_key"]
    assert [each["task"] for each in embedded["callbacks"]] == [task.name]
    assert [each["task"] for each in embedded["errbacks"]] == [task.name]


def test_a_task_that_the_broker_does_not_take_is_kept_and_sent_later(
    away: None, published: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [task.delay().id for _ in range(3)]
    ids.append(task.delay_on_commit().id)
    assert set(OutboxMessage.objects.values_list("task_id", flat=True)) == set(ids)
    # One attempt, a second one on a fresh connection, and then a pause.
    assert len(published) <= 2

    OutboxMessage.objects.update(next_try_at=timezone.now())
    monkeypatch.setattr(publishing, "_away_until", 0)
    with pytest.raises(OperationalError):
        relay.sweep()
    assert OutboxMessage.objects.count() == 4

    monkeypatch.undo()
    published.clear()
    OutboxMessage.objects.update(next_try_at=timezone.now())
    monkeypatch.setattr(publishing, "_away_until", 0)
    relay.sweep()
    assert [message["headers"]["id"] for message in published] == ids
    assert not OutboxMessage.objects.exists()


def test_a_retry_that_the_broker_does_not_take_is_kept(away: None) -> None:
    task.push_request(id="mine", args=[], kwargs={}, retries=0, called_directly=False)
    try:
        with pytest.raises(Retry):
            task.retry(countdown=10)
    finally:
        task.pop_request()
    assert '"retries": 1' in OutboxMessage.objects.get(task_id="mine").body


def test_tasks_of_two_kinds_may_share_an_id() -> None:
    for name in ("charge", "mail", "charge"):
        outbox.put(name, "order-5", "{}", replace=True)
    assert set(OutboxMessage.objects.values_list("task", flat=True)) == {"charge", "mail"}
    assert OutboxMessage.objects.count() == 2


def test_a_retry_that_takes_its_row_with_it_is_no_retry(away: None) -> None:
    with pytest.raises(OperationalError), transaction.atomic():
        task.apply_async(task_id="again", retries=1)
    assert not OutboxMessage.objects.exists()


def test_a_transaction_that_took_long_leaves_its_tasks_to_the_keeper(
    published: list[dict[str, Any]],
) -> None:
    with transaction.atomic():
        task.delay_on_commit()
        OutboxMessage.objects.update(next_try_at=timezone.now() - timedelta(seconds=1))
        row = OutboxMessage.objects.get()
        assert outbox.claim(row)
    outbox.publish(OutboxMessage(pk=row.pk, next_try_at=timezone.now() - timedelta(seconds=1)))
    assert len(published) == 1
    assert OutboxMessage.objects.get().next_try_at == row.next_try_at


def test_a_task_that_would_wait_for_longer_than_redis_lets_it_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(settings.CELERY_BROKER_TRANSPORT_OPTIONS, "visibility_timeout", 1500)
    with pytest.raises(PayloadError, match="LONGEST_COUNTDOWN"):
        task.apply_async(countdown=settings.LONGEST_COUNTDOWN + 60)


def test_an_effect_is_remembered_for_as_long_as_its_task_may_come_back() -> None:
    days = settings.RETENTION_DAYS
    assert days["effects"] > days["waiting dead letters"] + days["outbox"]


def test_a_row_is_sent_by_one_of_two_keepers(published: list[dict[str, Any]]) -> None:
    with transaction.atomic():
        task.delay_on_commit()
        transaction.get_connection().run_on_commit.clear()
    OutboxMessage.objects.update(next_try_at=timezone.now())
    first, second = OutboxMessage.objects.get(), OutboxMessage.objects.get()
    assert [outbox.claim(first), outbox.claim(second)] == [True, False]
    relay.sweep()  # it is claimed
    assert not published


def test_a_row_for_a_queue_that_is_gone_holds_up_no_other(published: list[dict[str, Any]]) -> None:
    now = timezone.now() - timedelta(seconds=1)
    for number, queue in enumerate(["gone", QUEUES[0]]):
        body = outbox.message(task.name, None, None, {"queue": queue})
        row = outbox.put(task.name, queue, body)
        OutboxMessage.objects.filter(pk=row.pk).update(
            next_try_at=now + timedelta(microseconds=number)
        )
    relay.sweep()
    assert [message["headers"]["id"] for message in published] == [QUEUES[0]]
    left = OutboxMessage.objects.get()
    assert left.next_try_at > timezone.now()
    assert "gone" in left.failure


def test_what_cannot_be_sent_is_refused_at_once() -> None:
    for wrong, error in {"queue": QueueNotFound, "headers": EncodeError}.items():
        with pytest.raises(error):
            task.apply_async_on_commit(**{wrong: {"queue": "gone"}.get(wrong, {"a": object()})})
    with pytest.raises(TypeError):
        task.delay_on_commit("one argument too many")
    assert not OutboxMessage.objects.exists()


def test_in_place_a_task_runs_on_commit() -> None:
    with override_settings(CELERY_TASK_ALWAYS_EAGER=True):
        app.conf.task_always_eager = True
        try:
            task.delay_on_commit()
            assert task.delay().successful()
        finally:
            app.conf.task_always_eager = False
    assert not OutboxMessage.objects.exists()


def test_an_effect_happens_once_though_two_ask_at_the_same_moment() -> None:
    answers = []

    def second() -> None:
        with transaction.atomic():
            answers.append(first_time("welcome mail:42"))
        connection.close()

    with ThreadPoolExecutor() as pool:
        with transaction.atomic():
            assert first_time("welcome mail:42")
            asking = pool.submit(second)
            # It waits for this transaction, and not only for this moment.
            with pytest.raises(TimeoutError):
                asking.result(timeout=1)
        asking.result()
    assert answers == [False]


def test_an_effect_that_was_rolled_back_has_not_happened() -> None:
    for last in (False, True):
        with transaction.atomic():
            assert first_time("charge:Ab") is True
            assert first_time("charge:aB") is True
            assert first_time("charge:Ab") is False
            transaction.set_rollback(not last)
    assert Effect.objects.count() == 2


def test_a_key_without_a_transaction_or_of_no_use_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"with transaction\.atomic"):
        first_time("a key")
    for key in ("", "k" * 256):
        with transaction.atomic(), pytest.raises(ValueError, match="1 to 255"):
            first_time(key)


def test_each_table_keeps_what_its_bound_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    days = settings.RETENTION_DAYS
    sent = {"state": DeadLetter.State.SENT}
    for age in (-0.5, 0.5):
        for number in range(5):
            key = f"{age} {number}"
            rows: list[tuple[Any, str, str, dict[str, Any]]] = [
                (Effect, "effects", "happened_at", {"key": key}),
                (Start, "starts", "started_at", {"task_id": key}),
                (DeadLetter, "settled dead letters", "settled_at", {"task": "settled", **sent}),
                (DeadLetter, "waiting dead letters", "parked_at", {"task": "waiting"}),
                (
                    OutboxMessage,
                    "outbox",
                    "accepted_at",
                    {"task_id": key, "task": "unsent", "next_try_at": timezone.now()},
                ),
            ]
            for model, name, field, values in rows:
                row = model.objects.create(**values)
                when = timezone.now() - timedelta(days=days[name] + age)
                model.objects.filter(pk=row.pk).update(**{field: when})
    retention.enforce()
    assert (Effect.objects.count(), Start.objects.count()) == (5, 5)
    assert OutboxMessage.objects.count() == 5
    letters = [letter.task for letter in DeadLetter.objects.all()]
    assert {name: letters.count(name) for name in letters} == dict.fromkeys(
        ("settled", "waiting", "unsent"), 5
    )


def test_a_row_that_a_keeper_is_sending_is_no_dead_letter() -> None:
    row = outbox.put(task.name, "old", outbox.message(task.name, None, None, {}))
    long_ago = timezone.now() - timedelta(days=settings.RETENTION_DAYS["outbox"] + 1)
    OutboxMessage.objects.filter(pk=row.pk).update(accepted_at=long_ago)
    assert outbox.claim(row)
    retention.enforce()
    assert (OutboxMessage.objects.count(), DeadLetter.objects.count()) == (1, 0)
    # The broker would not have it.
    later = timezone.now() + timedelta(seconds=relay.LATEST)
    OutboxMessage.objects.filter(pk=row.pk).update(next_try_at=later)
    retention.enforce()
    assert (OutboxMessage.objects.count(), DeadLetter.objects.count()) == (0, 1)
