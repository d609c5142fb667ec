import uuid

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Order",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid.uuid4, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("email", models.EmailField(max_length=254)),
                ("amount", models.DecimalField(decimal_places=2, max_digits=10)),
                (
                    "idempotency_key",
                    models.CharField(editable=False, max_length=255, null=True, unique=True),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("placed", "Placed"),
                            ("charged", "Charged"),
                            ("invoiced", "Invoiced"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        default="placed",
                        max_length=10,
                    ),
                ),
                ("charge_id", models.CharField(blank=True, max_length=64)),
                ("failure", models.CharField(blank=True, max_length=200)),
                ("placed_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-placed_at"],
            },
        ),
        migrations.CreateModel(
            name="Job",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("order_id", models.UUIDField()),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("placed", "Placed"),
                            ("charged", "Charged"),
                            ("invoiced", "Invoiced"),
                            ("completed", "Completed"),
                            ("failed", "Failed"),
                        ],
                        max_length=10,
                    ),
                ),
                ("task", models.CharField(max_length=100)),
                ("task_id", models.CharField(max_length=64)),
                ("worker", models.CharField(max_length=255)),
                ("queue", models.CharField(max_length=100)),
                ("done_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["done_at"],
                "constraints": [
                    models.UniqueConstraint(fields=("order_id", "state"), name="one_job_a_state")
                ],
            },
        ),
        migrations.CreateModel(
            name="Invoice",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("document", models.TextField()),
                ("seal", models.CharField(max_length=64)),
                (
                    "order",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, to="orders.order"
                    ),
                ),
            ],
        ),
    ]
