"""Where points are granted."""

from django.urls import path

from loyalty import views

urlpatterns = [path("api/grants/", views.grant)]
