"""URLs of the backups app: health, progress, cancel. All of them answer without a session, most without a database.

Include them at the root of the site: the gate lets exactly these paths pass.
"""

from django.urls import path

from backups import views

app_name = "backups"

urlpatterns = [
    path("healthz", views.alive, name="alive"),
    path("readyz", views.ready, name="ready"),
    path("backups/health.json", views.health, name="health"),
    path("backups/metrics", views.metrics, name="metrics"),
    path("backups/progress/<str:token>.json", views.progress_data, name="progress-data"),
    path("backups/progress/<str:token>/", views.progress, name="progress"),
    path("backups/cancel/<str:token>/", views.cancel, name="cancel"),
]
