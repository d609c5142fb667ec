"""What is served, and where."""

from django import urls
from django.conf import settings
from django.contrib import admin

admin.site.site_header = admin.site.site_title = settings.SERVICE_NAME

urlpatterns = [
    urls.path("admin/", admin.site.urls),
    # % if cookiecutter.example_app == "true"
    urls.path("", urls.include("orders.urls")),
    # % endif
]
