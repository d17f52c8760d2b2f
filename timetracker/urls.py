"""URLs of TimeTracker."""

from django.contrib import admin
from django.urls import include, path

from timetracker.import_export import import_export

urlpatterns = [
    path("", include("backups.urls")),
    path("", include("timetracker.staff_urls")),
    path("admin/", admin.site.urls),
    # The backups' pages know it by this name; it is one of the team's.
    path("import-export/", import_export, name="import-export"),
    path("portal/", include("portal.urls")),
]
