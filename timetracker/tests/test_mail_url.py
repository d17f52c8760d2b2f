"""``EMAIL_URL`` as Django's settings."""

from __future__ import annotations

import pytest
from django.core.exceptions import ImproperlyConfigured

from timetracker.mail_url import mail_settings


def test_address_with_password_and_encryption() -> None:
    found = mail_settings("smtp+tls://time:p%40ss%3A+@mail.example.org:587")
    assert found["EMAIL_BACKEND"] == "django.core.mail.backends.smtp.EmailBackend"
    assert (found["EMAIL_HOST"], found["EMAIL_PORT"], found["EMAIL_USE_TLS"]) == ("mail.example.org", 587, True)
    assert (found["EMAIL_HOST_USER"], found["EMAIL_HOST_PASSWORD"]) == ("time", "p@ss:+")


def test_a_mail_server_that_is_silent_holds_nobody_up() -> None:
    assert mail_settings("smtp://localhost")["EMAIL_TIMEOUT"] == 10


def test_nothing_but_settings_of_mail_comes_out_of_the_address() -> None:
    assert all(name.startswith("EMAIL_") for name in mail_settings("smtp://localhost:25?debug=true&secret_key=x"))


@pytest.mark.parametrize("url", ["mail.example.org", "https://mail.example.org", "smtp://", "smtp://u:hidden@h:port", "", "smtp://[::1"])
def test_an_address_that_is_none_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="EMAIL_URL must be such as") as refused:
        mail_settings(url)
    assert "hidden" not in str(refused.value)
