"""How long Redis waits for an acknowledgement."""

import pytest
from django.conf import settings
from django.core.checks import run_checks

from config.celery import app


def test_a_visibility_timeout_below_the_longest_wait_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = settings.CELERY_TASK_TIME_LIMIT + settings.LONGEST_COUNTDOWN
    options = app.conf.broker_transport_options
    assert options["visibility_timeout"] > needed
    assert run_checks() == []
    monkeypatch.setitem(options, "visibility_timeout", needed - 1)
    (error,) = run_checks()
    assert error.id == "workers.E004"
    assert f"Raise it to {needed} s or more" in str(error.hint)
