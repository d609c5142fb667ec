"""What is served, and where."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

admin.site.site_header = admin.site.site_title = settings.SERVICE_NAME

urlpatterns = [
    path("admin/", admin.site.urls),
    path("", include("orders.urls")),
]
