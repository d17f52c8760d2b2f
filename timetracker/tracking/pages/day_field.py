"""A date in a form."""

from __future__ import annotations

from datetime import date
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator

__all__ = ["FIRST_DAY", "LAST_DAY", "DayField"]

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)
_SENTENCE = "Choose a day between 2000 and 2100."


class DayField(forms.DateField):
    """A day as browsers send it (ISO 8601), from 2000 to 2100: beyond, days of a place may be none that Python knows."""

    def __init__(self, **kwargs: Any) -> None:
        """Ask for one."""
        validators = [MinValueValidator(FIRST_DAY, _SENTENCE), MaxValueValidator(LAST_DAY, _SENTENCE)]
        messages = {"invalid": "Enter a valid date. Write it as in 2025-03-31.", "required": "Choose a day."}
        super().__init__(input_formats=["%Y-%m-%d"], validators=validators, error_messages=messages, **kwargs)
