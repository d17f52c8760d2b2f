"""What is said of a mail that was not sent."""

from __future__ import annotations

import logging
import smtplib
import socket
import ssl

import pytest
from django.urls import reverse
from pytest_django import Settings

from timetracker.accounts.models import User
from timetracker.accounts.roles import Role, role_give
from timetracker.mail_faults import mail_fault


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "mail.example.org:587 cannot be reached: nothing listens there"),
        (socket.gaierror(-2, "Name or service not known"), "mail.example.org:587 cannot be reached: no machine of this name"),
        (TimeoutError("timed out"), "mail.example.org:587 does not answer."),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), "cannot agree on encryption"),
        (smtplib.SMTPAuthenticationError(535, b"5.7.8 bad\r\n credentials"), "this name and password (535 5.7.8 bad credentials)."),
        (smtplib.SMTPSenderRefused(550, b"not you", "a@example.org"), "refused the mail (550 not you)."),
        (smtplib.SMTPServerDisconnected("Connection unexpectedly closed"), "(Connection unexpectedly closed)."),
        (PermissionError(13, "Permission denied"), "could not be handed over (Permission denied)."),
    ],
)
def test_a_mail_fault_names_the_cause_and_where_the_server_is_set(settings: Settings, error: OSError, said: str) -> None:
    settings.EMAIL_HOST, settings.EMAIL_PORT, settings.EMAIL_HOST_PASSWORD = "mail.example.org", 587, "no-secret"
    sentence = mail_fault(error)
    assert said in sentence and "EMAIL_URL (docs/admin/SETTINGS.md, Mail)" in sentence
    assert "Errno" not in sentence and "\n" not in sentence and "no-secret" not in sentence


def test_an_address_that_is_not_taken_is_named() -> None:
    error = smtplib.SMTPRecipientsRefused({"kim@bakery.example": (550, b"no such user")})
    assert mail_fault(error) == "The mail server does not take mail for kim@bakery.example: 550 no such user. Check the address."


@pytest.mark.django_db
def test_a_password_mail_that_fails_is_one_line_in_the_log_and_no_other_answer(
    client: object, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    user = User.objects.create_user("robin", "robin@studio.example", "correct horse battery", is_staff=True)
    role_give(user, Role.MEMBER)
    # Nobody listens on port 1.
    settings.EMAIL_BACKEND, settings.EMAIL_HOST, settings.EMAIL_PORT = "django.core.mail.backends.smtp.EmailBackend", "127.0.0.1", 1
    answer = client.post(reverse("staff:forgotten"), {"email": user.email})  # type: ignore[attr-defined]
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert answer.status_code == 302 and record.exc_info is None
    assert "robin@studio.example" in record.getMessage() and "127.0.0.1:1 cannot be reached" in record.getMessage()
