"""Who may restore and undo by a page: the right alone is not enough, the owner can leave it to the commands."""

from __future__ import annotations

from functools import wraps
from urllib.parse import urlsplit

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from backups.conf import conf
from backups.pages.place import Place, View, may

__all__ = ["confirmation_name", "is_confirmation", "restore_offered", "restore_only", "undo_only"]


def restore_offered(request: HttpRequest) -> bool:
    """Whether pages show the asking user what leads to a restore or an undo."""
    return conf.allow_web_restore and request.user.has_perm("backups.restore_backup")


def restore_only(view: View) -> View:
    """Let in who may restore; with ``BACKUPS_ALLOW_WEB_RESTORE`` off nobody (403, naming the command that does it)."""
    return _checked(view, title="Restoring is left to the server", command="backup_restore")


def undo_only(view: View) -> View:
    """The same for an undo, which has a command of its own."""
    return _checked(view, title="Undoing is left to the server", command="backup_undo")


def _checked(view: View, *, title: str, command: str) -> View:
    @wraps(view)
    def checked(request: HttpRequest, *, place: Place, **kwargs: str) -> HttpResponse:
        may(request, "restore")
        if conf.allow_web_restore:
            return view(request, place=place, **kwargs)  # type: ignore[return-value]
        # The archive is not looked up: whether there is one of that name is no business of this page.
        what = f" {kwargs.get('archive', 'ARCHIVE')}" if command == "backup_restore" else ""
        context = {"title": title, "command": f"manage.py {command}{what}"}
        return render(request, "backups/restore_off.html", {**place.context(request), **context}, status=403)

    return checked


def confirmation_name(request: HttpRequest) -> str:
    """What a person types to confirm: the site's name, else the host's as the browser knows it."""
    name = conf.site_name() if conf.site_name else ""
    return name or urlsplit(f"//{request.get_host()}").hostname or request.get_host()


def is_confirmation(typed: str, name: str) -> bool:
    """Whether somebody has typed that name. Case and the width of spaces do not matter: a phone begins with a capital letter."""
    return " ".join(typed.split()).casefold() == " ".join(name.split()).casefold()
