"""URLs of the team's pages.

Their frame (:mod:`timetracker.staff_frame`) leads to ``week/``, ``entries/`` and ``reports/`` as soon as there is a page of that name.
"""

from django.urls import path

from timetracker.accounts.pages import account, entrance, team
from timetracker.billing.pages import expenses
from timetracker.clients.pages import clients, documents
from timetracker.tracking.pages import budgets, entries, projects, reports, selection, tasks, today, week

app_name = "staff"

urlpatterns = [
    path("", today.today, name="today"),
    path("timer/", today.clock, name="clock"),
    path("timer/start/", today.start, name="start"),
    path("timer/stop/", today.stop, name="stop"),
    path("timer/discard/", today.discard, name="discard"),
    path("timer/shift/", today.shift, name="shift"),
    path("entries/<int:pk>/", today.entry, name="entry"),
    path("entries/<int:pk>/delete/", today.delete, name="delete"),
    path("entries/<int:pk>/again/", today.again, name="again"),
    path("entries/", entries.entries, name="entries"),
    path("entries/csv/", entries.download, name="entries_csv"),
    path("entries/new/", entries.add, name="entries_add"),
    path("entries/change/", selection.change_many, name="entries_change"),
    path("entries/delete/", selection.delete_many, name="entries_delete"),
    path("entries/<int:pk>/edit/", entries.edit, name="entries_edit"),
    path("entries/<int:pk>/copy/", entries.copy, name="entries_copy"),
    path("entries/<int:pk>/remove/", entries.remove, name="entries_remove"),
    path("reports/", reports.reports, name="reports"),
    path("reports/report.csv", reports.report_csv, name="report_csv"),
    path("reports/budgets/", budgets.budgets, name="budgets"),
    path("week/", week.week, name="week"),
    path("account/", account.account, name="account"),
    path("account/password/", entrance.change_password, name="change_password"),
    path("team/", team.team, name="team"),
    path("team/invite/", team.invite, name="invite"),
    path("team/<int:pk>/", team.member, name="member"),
    path("team/<int:pk>/invitation/", team.send, name="send"),
    path("team/<int:pk>/link/", team.link, name="link"),
    path("clients/", clients.clients, name="clients"),
    path("clients/add/", clients.client_add, name="client_add"),
    path("clients/<int:pk>/", clients.client, name="client"),
    path("clients/<int:pk>/edit/", clients.client_edit, name="client_edit"),
    path("clients/<int:pk>/archive/", clients.archive, name="client_archive"),
    path("clients/<int:pk>/reopen/", clients.reopen, name="client_reopen"),
    path("clients/<int:pk>/delete/", clients.client_delete, name="client_delete"),
    path("clients/<int:pk>/invoices/", clients.client_invoices, name="client_invoices"),
    path("clients/<int:pk>/documents/", documents.documents, name="documents"),
    path("clients/<int:pk>/documents/add/", documents.document_add, name="document_add"),
    path("documents/<int:pk>/", documents.document, name="document"),
    path("documents/<int:pk>/edit/", documents.document_edit, name="document_edit"),
    path("documents/<int:pk>/delete/", documents.document_delete, name="document_delete"),
    path("projects/", projects.projects, name="projects"),
    path("projects/add/", projects.project_add, name="project_add"),
    path("projects/<int:pk>/", projects.project, name="project"),
    path("projects/<int:pk>/edit/", projects.project_edit, name="project_edit"),
    path("projects/<int:pk>/archive/", projects.archive, name="project_archive"),
    path("projects/<int:pk>/reopen/", projects.reopen, name="project_reopen"),
    path("projects/<int:pk>/delete/", projects.project_delete, name="project_delete"),
    path("projects/<int:pk>/rates/", projects.rate_set, name="rate_set"),
    path("rates/<int:pk>/delete/", projects.rate_delete, name="rate_delete"),
    path("projects/<int:pk>/tasks/", tasks.task_add, name="task_add"),
    path("tasks/<int:pk>/", tasks.task, name="task"),
    path("tasks/<int:pk>/done/", tasks.task_turn, {"status": "done"}, name="task_done"),
    path("tasks/<int:pk>/reopen/", tasks.task_turn, {"status": "todo"}, name="task_reopen"),
    path("tasks/<int:pk>/delete/", tasks.task_delete, name="task_delete"),
    path("expenses/", expenses.expenses, name="expenses"),
    path("expenses/add/", expenses.expense_add, name="expense_add"),
    path("expenses/<int:pk>/", expenses.expense, name="expense"),
    path("expenses/<int:pk>/delete/", expenses.expense_delete, name="expense_delete"),
    path("expenses/<int:pk>/receipt/", expenses.receipt, name="receipt"),
    path("login/", entrance.Login.as_view(), name="login"),
    path("logout/", entrance.Logout.as_view(), name="logout"),
    path("password/forgotten/", entrance.Forgotten.as_view(), name="forgotten"),
    path("password/sent/", entrance.forgotten_sent, name="forgotten_sent"),
    path("password/new/<uidb64>/<token>/", entrance.NewPassword.as_view(), name="new_password"),
    path("password/first/<uidb64>/<token>/", entrance.Invitation.as_view(), name="invitation"),
]
