"""Where the pages are."""

from django.urls import path

from shop import views

urlpatterns = [path("", views.front), path("async/", views.front_async)]
