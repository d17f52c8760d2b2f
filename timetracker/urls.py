"""URLs of TimeTracker."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

admin.site.site_title = admin.site.site_header = "TimeTracker"
# "View site" would lead back to the admin.
admin.site.site_url = None

urlpatterns = [
    path("", include("backups.urls")),
    path("", RedirectView.as_view(pattern_name="admin:index")),
    path("admin/", admin.site.urls),
    path("portal/", include("portal.urls")),
]
