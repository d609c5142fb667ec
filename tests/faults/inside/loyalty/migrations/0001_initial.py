"""The tables of the points."""

from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    """Makes both."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="Grant",
            fields=[
                ("id", models.UUIDField(primary_key=True, serialize=False)),
                ("points", models.PositiveIntegerField()),
            ],
        ),
        migrations.CreateModel(
            name="Entry",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("grant_id", models.UUIDField(db_index=True)),
                ("points", models.PositiveIntegerField()),
                ("booked_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
    ]
