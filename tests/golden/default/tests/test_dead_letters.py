"""What fails for good, and what cannot be read: settled once, with a clear answer."""

from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from celery.app.task import Context
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from kombu.utils import json
from pytest_django import DjangoAssertNumQueries

from accounts.tasks import remove_expired_sessions
from config.celery import app
from config.queues import QUEUES
from workers import dead_letters, outbox, replay
from workers.models import DeadLetter, OutboxMessage
from workers.payload import PayloadError, dumps

pytestmark = pytest.mark.django_db(transaction=True, databases="__all__")

NAME = remove_expired_sessions.name


def parked(**fields: Any) -> DeadLetter:
    """Return a letter as a worker would have left it."""
    body = json.dumps({"args": [], "kwargs": {}, "options": {"task_id": "1"}})
    given = {"task": NAME, "task_id": "1", "reason": "failed", "body": body}
    return DeadLetter.objects.create(**{**given, **fields})


def letters() -> list[DeadLetter]:
    return list(DeadLetter.objects.order_by("id"))


def command(*arguments: object) -> str:
    output = StringIO()
    call_command("dead_letters", *map(str, arguments), stdout=output)
    return output.getvalue()


def unknown(task_id: str, **times: str) -> None:
    """Leave a letter of a task that no worker knew."""
    request = Context(
        {"id": task_id, **times}, args=[], kwargs={}, delivery_info={"routing_key": QUEUES[0]}
    )
    dead_letters.park_request(DeadLetter.Reason.UNKNOWN, NAME, request, "")


def test_what_no_worker_knew_is_due_and_over_when_it_was_told_to() -> None:
    soon, past = timezone.now() + timedelta(seconds=50), timezone.now() - timedelta(seconds=1)
    unknown("waits", eta=soon.isoformat(), expires=(soon + timedelta(days=1)).isoformat())
    unknown("is over", expires=past.isoformat())
    with transaction.atomic():
        replay.send_known()
        options = json.loads(OutboxMessage.objects.get().body)["options"]
        assert (options["eta"], options["expires"]) == (soon, soon + timedelta(days=1))
    assert [letter.state for letter in letters()] == ["sent", "discarded"]
    app.control.purge()


def test_what_a_person_sends_again_is_due_at_once_and_never_over() -> None:
    unknown("is over", expires=(timezone.now() - timedelta(seconds=1)).isoformat())
    with transaction.atomic():
        replay.send_again(letters()[0])
        options = json.loads(OutboxMessage.objects.get().body)["options"]
        assert "expires" not in options
    app.control.purge()


def test_what_could_not_be_sent_keeps_its_id() -> None:
    body = outbox.message(NAME, None, None, {})
    parked(reason="unsent", task_id="kept", body=body)
    with transaction.atomic():
        replay.send_again(letters()[0])
        assert OutboxMessage.objects.get().task_id == "kept"
    app.control.purge()


@pytest.mark.parametrize(
    ("fields", "answer"),
    [
        ({"state": "sent"}, "was sent again at"),
        ({"state": "discarded"}, "was discarded at"),
        ({"task": "nobody.knows"}, "'nobody.knows', which does not exist"),
        ({"reason": "malformed", "body": "{"}, "cannot be read"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_a_letter_that_cannot_be_sent_says_why_and_the_others_are_sent(
    fields: dict[str, str], answer: str
) -> None:
    app.control.purge()
    bad, good = parked(**fields), parked()
    DeadLetter.objects.filter(pk=bad.pk).exclude(state="waiting").update(settled_at=bad.parked_at)
    with pytest.raises(CommandError, match=answer):
        command("replay", bad.pk, good.pk, 999)
    good.refresh_from_db()
    assert good.state == "sent"
    assert app.control.purge() == 1


def test_the_command_lists_what_is_asked_for() -> None:
    parked(task_id="a")
    parked(task_id="b", reason="poison")
    parked(task_id="c", state="sent")
    assert [line.split()[-1] for line in command("list").splitlines()] == ["b", "a"]
    assert command("list", "--state", "sent", "--reason", "failed").endswith(" c\n")
    assert command("list", "--reason", "unknown") == ""


def test_a_letter_is_settled_once_in_the_admin(client: Client) -> None:
    app.control.purge()
    client.force_login(get_user_model().objects.create_superuser("root"))
    letter, url = parked(), reverse("admin:workers_deadletter_changelist")
    said = []
    for action in ("send_again", "send_again", "discard"):
        data = {"action": action, "_selected_action": [letter.pk]}
        said.append(client.post(url, data, follow=True).content.decode())
    assert "1 sent again." in said[0]
    assert all("was sent again at" in text for text in said[1:])
    assert app.control.purge() == 1
    page = client.get(reverse("admin:workers_deadletter_change", args=[letter.pk]))
    assert page.status_code == 200
    assert client.get(reverse("admin:workers_deadletter_add")).status_code == 403


def test_a_first_delivery_asks_the_database_nothing(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    request: Any = {"id": "1", "hostname": "here", "delivery_info": {"redelivered": False}}
    remove_expired_sessions.push_request(**request)
    with django_assert_num_queries(0):
        remove_expired_sessions.before_start("1", (), {})
    remove_expired_sessions.pop_request()


def test_a_letter_that_is_kept_twice_is_one() -> None:
    for _ in range(2):
        dead_letters.park(
            "failed", "\0" * 100_000, task_id="1" * 300, task="\ud800", body=b"\xff\0"
        )
    (letter,) = letters()
    assert len(letter.history) == dead_letters.LONGEST_HISTORY


def test_letters_of_two_kinds_of_task_may_share_an_id() -> None:
    for name in ("charge", "mail"):
        dead_letters.park("failed", "", task_id="order-5", task=name, body="{}")
    dead_letters.note_done("mail", Context({"id": "order-5"}))
    assert [letter.task for letter in letters()] == ["charge"]


class Row:
    """What somebody may take for an argument."""


@pytest.mark.parametrize(
    ("args", "kwargs", "said"),
    [
        ([1, Row()], {}, "argument 2 is of the type tests.test_dead_letters.Row"),
        ([], {"rows": [Row()]}, "argument 'rows' is of the type list"),
        ([{1, 2}], {}, "argument 1 is of the type set"),
        (["x" * 300_000], {}, "and MESSAGE_LIMIT in config/settings/tasks.py allows 262144"),
    ],
    ids=["row", "nested", "set", "large"],
)
def test_what_cannot_travel_is_refused_by_name(args: Any, kwargs: Any, said: str) -> None:
    with pytest.raises(PayloadError) as refused:
        dumps(NAME, args, kwargs, {})
    assert said in str(refused.value)
    assert NAME in str(refused.value)
    assert "id" in str(refused.value)
