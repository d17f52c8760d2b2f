"""URLs of the portal."""

from django.urls import path

from portal import entrance, views

app_name = "portal"

urlpatterns = [
    path("", views.dashboard, name="dashboard"),
    path("projects/", views.projects, name="projects"),
    path("time/", views.time_entries, name="time"),
    path("invoices/", views.invoices, name="invoices"),
    path("invoices/<int:pk>/", views.invoice, name="invoice"),
    path("documents/", views.documents, name="documents"),
    path("documents/<int:pk>/", views.document, name="document"),
    path("account/", views.account, name="account"),
    path("account/password/", entrance.change_password, name="change_password"),
    path("login/", entrance.Login.as_view(), name="login"),
    path("logout/", entrance.Logout.as_view(), name="logout"),
    path("forgotten/", entrance.Forgotten.as_view(), name="forgotten"),
    path("forgotten/sent/", entrance.forgotten_sent, name="forgotten_sent"),
    path("password/<uidb64>/<token>/", entrance.NewPassword.as_view(), name="new_password"),
    path("invitation/<uidb64>/<token>/", entrance.Invitation.as_view(), name="invitation"),
]
