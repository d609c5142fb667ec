"""Whether what nobody needs any longer is gone, without anybody asking for it."""

from pathlib import Path
from typing import Any

from tests.probed import probed

# Half a day beyond the day for which Celery keeps a result, and half a day before it.
MADE = """
from datetime import timedelta
from django.utils import timezone
from django_celery_results.models import GroupResult, TaskResult
for hours in (36, 12):
    for number in range(3):
        TaskResult.objects.create(task_id=f"{hours} {number}", status="SUCCESS")
        GroupResult.objects.create(group_id=f"{hours} {number}")
    when = timezone.now() - timedelta(hours=hours)
    TaskResult.objects.filter(task_id__startswith=hours).update(date_done=when)
    GroupResult.objects.filter(group_id__startswith=hours).update(date_done=when)
"""
LEFT = """
from django_celery_results.models import GroupResult, TaskResult
ids = [*TaskResult.objects.values_list("task_id"), *GroupResult.objects.values_list("group_id")]
print("left:", sorted(key.split()[0] for key, in ids))
"""


def test_results_that_have_expired_are_deleted_by_any_worker(
    environment: Any, redis_url: str, tmp_path: Path
) -> None:
    project = probed(
        tmp_path,
        environment("5.2"),
        f"sqlite:///{tmp_path}/db.sqlite3",
        redis_url,
        database="sqlite",
        result_backend="database",
        queues="jobs:threads:2",
    )

    def left() -> str:
        return project.run("python", "manage.py", "shell", "--no-imports", "-c", LEFT)

    project.run("python", "manage.py", "shell", "--no-imports", "-c", MADE)
    assert "left: ['12', '12', '12', '12', '12', '12', '36'" in left()
    with project.working() as worker:
        project.wait_for(lambda: "36" not in left(), worker)
        assert f"left: {['12'] * 6}" in left()
