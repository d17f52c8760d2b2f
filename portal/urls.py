"""URLs of the portal."""

from django.urls import path, register_converter
from django.urls.converters import StringConverter

from portal import entrance
from portal.pages import account, brand, documents, invoices, overview, report, time

app_name = "portal"


class HexDigits(StringConverter):
    """Small hexadecimal digits: a colour, or a digest."""

    regex = "[0-9a-f]{6,12}"


register_converter(HexDigits, "hex")

urlpatterns = [
    path("", overview.dashboard, name="dashboard"),
    path("projects/", overview.projects, name="projects"),
    path("time/", time.time_entries, name="time"),
    path("time/time.csv", time.time_csv, name="time_csv"),
    path("report/", report.report, name="report"),
    path("report/<int:year>/<int:number>/", report.month, name="month"),
    path("invoices/", invoices.invoices, name="invoices"),
    path("invoices/invoices.csv", invoices.invoices_csv, name="invoices_csv"),
    path("invoices/<int:pk>/", invoices.invoice, name="invoice"),
    path("invoices/<int:pk>/pdf/", invoices.invoice_pdf, name="invoice_pdf"),
    path("documents/", documents.documents, name="documents"),
    path("documents/<int:pk>/", documents.document, name="document"),
    path("account/", account.account, name="account"),
    path("account/password/", entrance.change_password, name="change_password"),
    path("brand/<hex:colour>-<hex:digest>.css", brand.sheet, name="brand_sheet"),
    path("brand/logo-<hex:digest>", brand.logo, name="logo"),
    path("login/", entrance.Login.as_view(), name="login"),
    path("logout/", entrance.Logout.as_view(), name="logout"),
    path("forgotten/", entrance.Forgotten.as_view(), name="forgotten"),
    path("forgotten/sent/", entrance.forgotten_sent, name="forgotten_sent"),
    path("password/<uidb64>/<token>/", entrance.NewPassword.as_view(), name="new_password"),
    path("invitation/<uidb64>/<token>/", entrance.Invitation.as_view(), name="invitation"),
]
