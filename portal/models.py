"""Who may look into the portal."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from timetracker.timestamps import Timestamped

__all__ = ["ClientPerson"]


class ClientPerson(Timestamped):
    """The account of a person who works for a client; her name, e-mail address and time zone are those of the account.

    A client may have several. The team are no client people: an account that becomes staff loses the portal at once.
    """

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="client_person")
    client = models.ForeignKey("clients.Client", on_delete=models.PROTECT, related_name="people")
    invited_at = models.DateTimeField(null=True, blank=True, editable=False, help_text="When the last invitation was sent.")

    class Meta:
        ordering = ["client__name", "user__full_name", "id"]
        verbose_name = "client person"
        verbose_name_plural = "client people"

    def __str__(self) -> str:
        return str(self.user)

    def clean(self) -> None:
        """Refuse an account of the team: whoever edits clients' people need not be its equal."""
        if self.user_id is not None and self.user.is_team:
            raise ValidationError("This account belongs to the team. A client's person has an account of her own.", code="team")
