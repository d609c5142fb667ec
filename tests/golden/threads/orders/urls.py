"""Where the orders are."""

from django.urls import path

from orders import views

urlpatterns = [
    path("", views.place_page, name="place-page"),
    path("orders/<uuid:order_id>/", views.order_page, name="order-page"),
    path("api/orders/", views.place, name="place"),
    path("api/orders/<uuid:order_id>/", views.order, name="order"),
]
