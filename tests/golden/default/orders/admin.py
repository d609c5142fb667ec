"""Orders in the admin: to be looked at. Their states change by tasks alone."""

from django.contrib import admin

from orders.models import Job, Order


@admin.register(Order)
class OrderAdmin(admin.ModelAdmin):
    """Orders, newest first."""

    list_display = ["id", "email", "amount", "state", "placed_at"]
    list_filter = ["state"]
    search_fields = ["id", "email"]
    readonly_fields = ["state", "charge_id", "failure", "placed_at"]


@admin.register(Job)
class JobAdmin(admin.ModelAdmin):
    """What was done by which worker."""

    list_display = ["order_id", "state", "task", "worker", "queue", "done_at"]
    list_filter = ["state", "queue"]
    search_fields = ["order_id"]
