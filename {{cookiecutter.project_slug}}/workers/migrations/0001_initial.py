"""The tables of delivery."""

from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="DeadLetter",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("task_id", models.CharField(blank=True, db_index=True, max_length=255)),
                ("task", models.CharField(blank=True, max_length=255)),
                ("queue", models.CharField(blank=True, max_length=255)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("failed", "it failed, and is not tried again"),
                            ("poison", "it never came to an end"),
                            ("returned", "it came back to the broker too often"),
                            ("unknown", "no worker knows its task"),
                            ("malformed", "it cannot be read"),
                            ("unsent", "no broker has taken it"),
                        ],
                        max_length=10,
                    ),
                ),
                (
                    "body",
                    models.TextField(help_text="Arguments and options, or the message as it came."),
                ),
                (
                    "history",
                    models.TextField(
                        blank=True, help_text="What happened: a traceback, the starts."
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "Waiting"),
                            ("sent", "sent again"),
                            ("discarded", "Discarded"),
                        ],
                        default="waiting",
                        max_length=10,
                    ),
                ),
                ("parked_at", models.DateTimeField(auto_now_add=True, db_index=True)),
                ("settled_at", models.DateTimeField(blank=True, editable=False, null=True)),
            ],
            options={
                "ordering": ["-parked_at"],
            },
        ),
        migrations.CreateModel(
            name="Effect",
            fields=[
                ("key", models.CharField(max_length=255, primary_key=True, serialize=False)),
                ("happened_at", models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
        ),
        migrations.CreateModel(
            name="OutboxMessage",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("task_id", models.CharField(max_length=255)),
                ("task", models.CharField(max_length=255)),
                ("body", models.TextField(help_text="Arguments and options, as JSON of kombu's.")),
                ("accepted_at", models.DateTimeField(auto_now_add=True)),
                ("next_try_at", models.DateTimeField(db_index=True)),
                ("failure", models.TextField(blank=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("task_id", "task"), name="one_row_for_each_task"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Start",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("task_id", models.CharField(db_index=True, max_length=255)),
                ("worker", models.CharField(max_length=255)),
                ("started_at", models.DateTimeField(auto_now_add=True, db_index=True)),
            ],
        ),
    ]
