"""Clients and documents: what form and database refuse."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction
from django.db.models import ProtectedError

from timetracker.clients.models import Client, Document

pytestmark = pytest.mark.django_db


def test_name_of_a_client_is_taken_whatever_its_capitals() -> None:
    Client.objects.create(name="Sample Bakery")
    again = Client(name="SAMPLE bakery")
    with pytest.raises(ValidationError) as refused:
        again.full_clean()
    assert refused.value.messages == ["There is a client of this name already (capital letters make no difference)."]
    with pytest.raises(IntegrityError), transaction.atomic():
        again.save()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"name": ""}, "This field cannot be blank."),
        ({"default_rate": Decimal(-1)}, "Ensure this value is greater than or equal to 0."),
        ({"currency": "eu1"}, "“eu1” is no currency code, such as EUR or USD."),
    ],
)
def test_form_and_database_both_refuse(wrong: dict[str, object], message: str) -> None:
    client = Client(**{"name": "Sample Bakery", **wrong})
    with pytest.raises(ValidationError) as refused:
        client.full_clean()
    assert message in refused.value.messages
    with pytest.raises(IntegrityError), transaction.atomic():
        client.save()


def test_document_goes_below_documents_by_year_and_month(settings, tmp_path) -> None:  # type: ignore[no-untyped-def]
    settings.MEDIA_ROOT = tmp_path
    client = Client.objects.create(name="Sample Bakery")
    document = Document(client=client, title="Agreement")
    document.file.save("agreement.pdf", ContentFile(b"%PDF-"))
    assert document.file.name == f"documents/{document.created_at:%Y/%m}/agreement.pdf"
    assert (tmp_path / document.file.name).read_bytes() == b"%PDF-"


def test_document_without_a_file_is_refused_by_the_database() -> None:
    client = Client.objects.create(name="Sample Bakery")
    with pytest.raises(IntegrityError), transaction.atomic():
        Document.objects.create(client=client, title="Agreement")


def test_client_with_documents_is_not_deleted() -> None:
    client = Client.objects.create(name="Sample Bakery")
    Document.objects.create(client=client, title="Agreement", file="documents/agreement.pdf")
    with pytest.raises(ProtectedError):
        client.delete()
