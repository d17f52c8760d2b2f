"""URLs of TimeTracker."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from timetracker.import_export import import_export

urlpatterns = [
    path("", include("backups.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("import-export/", import_export, name="import-export"),
    path("portal/", include("portal.urls")),
]
