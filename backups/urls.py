"""URLs of the backups app: health, progress, cancel; and the way to a restore outside the admin.

The former answer without a session, most of them without a database. Include all at the root of the site: the gate lets exactly
these paths pass.
"""

from django.urls import include, path

from backups import views
from backups.pages import restore, result, undo, upload
from backups.pages.place import SITE

app_name = "backups"

urlpatterns = [
    path("healthz", views.alive, name="alive"),
    path("readyz", views.ready, name="ready"),
    path("backups/health.json", views.health, name="health"),
    path("backups/metrics", views.metrics, name="metrics"),
    path("backups/progress/<str:token>.json", views.progress_data, name="progress-data"),
    path("backups/progress/<str:token>/", views.progress, name="progress"),
    path("backups/cancel/<str:token>/", views.cancel, name="cancel"),
    path("import-export/archive/", include([*upload.urls(SITE), *restore.urls(SITE), *undo.urls(SITE), *result.urls(SITE)])),
]
