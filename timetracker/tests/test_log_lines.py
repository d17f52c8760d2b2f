"""A refused request is one line in the log, an error has its traceback."""

from __future__ import annotations

import pytest
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.test import Client
from django.urls import path
from pytest_django import Settings


def refused(_request: HttpRequest) -> HttpResponse:
    raise PermissionDenied("robin may not\ndo %s that")


def broken(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("A fault of the code.")


urlpatterns = [path("refused/", refused), path("broken/", broken)]


@pytest.mark.django_db
def test_a_refused_request_is_one_line_in_the_log_and_an_error_keeps_its_traceback(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ROOT_URLCONF = __name__
    browser = Client(raise_request_exception=False)
    assert [browser.get(address).status_code for address in ("/refused/", "/broken/")] == [403, 500]
    refusal, error = (record for record in caplog.records if record.name == "django.request")
    assert refusal.getMessage() == "Forbidden (Permission denied): /refused/: robin may not do %s that"
    assert (refusal.levelname, refusal.exc_info) == ("WARNING", None)
    assert error.levelname == "ERROR" and error.exc_info and isinstance(error.exc_info[1], RuntimeError)
