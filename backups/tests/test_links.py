"""Links that are a right by themselves: each opens one operation, for one purpose, for a time."""

from __future__ import annotations

import time

import pytest
from django.core.signing import TimestampSigner, b62_encode
from django.urls import resolve
from pytest_django import Settings

from backups.links import (
    CANCEL_SALT,
    PROGRESS_SALT,
    CancelRight,
    LinkExpired,
    LinkInvalid,
    cancel_link,
    cancel_right_of,
    progress_link,
    progress_operation_of,
)

OPERATION = "0123456789abcdef0123456789abcdef"
HOUR = 3600


class EarlierSigner(TimestampSigner):
    """Signs as if it were ``seconds`` ago."""

    def __init__(self, seconds: int, salt: str) -> None:
        super().__init__(sep=".", salt=salt)
        self.seconds = seconds

    def timestamp(self) -> str:
        return b62_encode(int(time.time()) - self.seconds)


def token_of(link: str) -> str:
    """The token in a link's path."""
    return str(resolve(link.partition("?")[0]).kwargs["token"])


def test_each_link_opens_its_operation() -> None:
    assert progress_operation_of(token_of(progress_link(OPERATION))) == OPERATION
    assert cancel_right_of(token_of(cancel_link(OPERATION))) == CancelRight(OPERATION, "")


def test_the_right_to_look_is_not_the_right_to_cancel() -> None:
    with pytest.raises(LinkInvalid):
        cancel_right_of(token_of(progress_link(OPERATION)))
    with pytest.raises(LinkInvalid):
        progress_operation_of(token_of(cancel_link(OPERATION)))


def test_a_page_that_may_cancel_has_the_right_in_its_address() -> None:
    path, _, query = progress_link(OPERATION, may_cancel=True).partition("?cancel=")
    assert progress_operation_of(token_of(path)) == OPERATION
    assert cancel_right_of(query) == CancelRight(OPERATION, "")


@pytest.mark.parametrize("name", ["ada", "ada@example.org", "Zoë Müller/x.y:z?", "0123456789abcdef"])
def test_the_right_to_cancel_says_whom_it_was_given_to(name: str) -> None:
    assert cancel_right_of(token_of(cancel_link(OPERATION, account=name))) == CancelRight(OPERATION, name)
    page = progress_link(OPERATION, may_cancel=True, account=name)
    assert cancel_right_of(page.partition("?cancel=")[2]) == CancelRight(OPERATION, name)


def test_whom_the_right_was_given_to_cannot_be_changed() -> None:
    with pytest.raises(LinkInvalid):
        cancel_right_of(token_of(cancel_link(OPERATION, account="ada")).replace("YWRh", "Ym9i"))


@pytest.mark.parametrize("change", [lambda token: token[:-1], lambda token: token.replace("0123", "0124", 1), lambda token: "", str.upper])
def test_a_changed_link_is_refused(change: object) -> None:
    assert callable(change)
    with pytest.raises(LinkInvalid):
        progress_operation_of(change(token_of(progress_link(OPERATION))))


def test_a_link_works_for_its_hours_and_not_longer(settings: Settings) -> None:
    settings.BACKUPS_PROGRESS_HOURS = 2
    assert progress_operation_of(EarlierSigner(2 * HOUR - 60, PROGRESS_SALT).sign(OPERATION)) == OPERATION
    with pytest.raises(LinkExpired):
        progress_operation_of(EarlierSigner(2 * HOUR + 60, PROGRESS_SALT).sign(OPERATION))
    with pytest.raises(LinkExpired):
        cancel_right_of(EarlierSigner(2 * HOUR + 60, CANCEL_SALT).sign(OPERATION))


def test_a_link_of_another_key_is_refused_and_one_of_an_older_key_works(settings: Settings) -> None:
    token, key = token_of(progress_link(OPERATION)), settings.SECRET_KEY
    settings.SECRET_KEY = "another"
    with pytest.raises(LinkInvalid):
        progress_operation_of(token)
    settings.SECRET_KEY_FALLBACKS = [key]
    assert progress_operation_of(token) == OPERATION


@pytest.mark.parametrize("operation", ["", "0123", "../../../../etc/passwd", OPERATION.upper()])
def test_no_link_is_made_for_what_is_no_operation(operation: str) -> None:
    with pytest.raises(ValueError, match="is no operation id"):
        progress_link(operation)
