"""Why a mail was not sent, in a sentence."""

from __future__ import annotations

import smtplib
import socket
import ssl

from django.conf import settings

__all__ = ["mail_fault"]

_NEXT = "Who runs the site sets the mail server by EMAIL_URL (docs/admin/SETTINGS.md, Mail), and tries it by ./run manage sendtestemail."


def mail_fault(error: OSError) -> str:
    """Return the cause of ``error``, which sending a mail has raised (SMTP errors are such), and the next step. No password is in it."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        said = "; ".join(f"{address}: {_words(code, text)}" for address, (code, text) in error.recipients.items())
        return f"The mail server does not take mail for {said}. Check the address."
    return f"{_cause(error)} {_NEXT}"


def _cause(error: OSError) -> str:
    server = f"The mail server {settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if isinstance(error, ConnectionRefusedError):
        return f"{server} cannot be reached: nothing listens there (connection refused)."
    if isinstance(error, socket.gaierror):
        return f"{server} cannot be reached: no machine of this name is known."
    if isinstance(error, TimeoutError):
        return f"{server} does not answer."
    if isinstance(error, ssl.SSLError):
        return f"{server} and this site cannot agree on encryption ({error.strerror or error})."
    if isinstance(error, smtplib.SMTPAuthenticationError):
        return f"{server} does not take this name and password ({_words(error.smtp_code, error.smtp_error)})."
    if isinstance(error, smtplib.SMTPResponseException):
        return f"{server} refused the mail ({_words(error.smtp_code, error.smtp_error)})."
    if isinstance(error, smtplib.SMTPException):
        return f"{server} and this site did not understand each other ({error})."
    return f"The mail could not be handed over ({error.strerror or error})."


def _words(code: int, text: bytes | str) -> str:
    """What a server answered, in one line."""
    words = text.decode(errors="replace") if isinstance(text, bytes) else text
    return f"{code} {' '.join(words.split())}"
