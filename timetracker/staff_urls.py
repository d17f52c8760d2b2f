"""URLs of the team's pages.

Their frame (:mod:`timetracker.staff_frame`) leads to ``week/``, ``entries/``, ``reports/``, ``clients/``, ``projects/`` and
``expenses/`` as soon as there is a page of that name.
"""

from django.urls import path

from timetracker.accounts.pages import account, entrance, team
from timetracker.tracking.pages import today

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
    path("account/", account.account, name="account"),
    path("account/password/", entrance.change_password, name="change_password"),
    path("team/", team.team, name="team"),
    path("team/invite/", team.invite, name="invite"),
    path("team/<int:pk>/", team.member, name="member"),
    path("team/<int:pk>/invitation/", team.send, name="send"),
    path("team/<int:pk>/link/", team.link, name="link"),
    path("login/", entrance.Login.as_view(), name="login"),
    path("logout/", entrance.Logout.as_view(), name="logout"),
    path("password/forgotten/", entrance.Forgotten.as_view(), name="forgotten"),
    path("password/sent/", entrance.forgotten_sent, name="forgotten_sent"),
    path("password/new/<uidb64>/<token>/", entrance.NewPassword.as_view(), name="new_password"),
    path("password/first/<uidb64>/<token>/", entrance.Invitation.as_view(), name="invitation"),
]
