"""Where odd things are asked for."""

from django.urls import path

from mishaps import views

urlpatterns = [path("api/mishaps/<slug:way>/", views.grant)]
