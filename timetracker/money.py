"""Money: amounts are Decimal with two places, each beside a currency (ISO 4217)."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from django.core.exceptions import ValidationError
from django.db.models import CheckConstraint, F, Q
from django.db.models.functions import Length, Upper
from django.db.models.lookups import Exact

__all__ = ["CURRENCY_CODES", "currency_constraint", "to_cents", "validate_currency"]

# The active codes of ISO 4217 for currencies of countries.
_CODES = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CLP CNY COP
CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD
IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP
SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VES VND VUV WST XAF XCD XCG XOF
XPF YER ZAR ZMW ZWG
"""
CURRENCY_CODES = frozenset(_CODES.split())
_CENT = Decimal("0.01")


def validate_currency(code: str) -> None:
    """Raise ValidationError unless ``code`` is an active ISO 4217 code."""
    if code not in CURRENCY_CODES:
        raise ValidationError("“%(code)s” is no currency code, such as EUR or USD.", code="currency", params={"code": code})


def currency_constraint(name: str, field: str = "currency") -> CheckConstraint:
    """Return a constraint by which ``field`` holds three capital letters.

    It uses built-in SQL functions only, so that ``sqlite3`` without Django can check and write the table.
    """
    return CheckConstraint(
        name=name,
        condition=Q(Exact(Length(field), 3)) & Q(**{field: Upper(F(field))}),
        violation_error_message="A currency is three capital letters, such as EUR.",
    )


def to_cents(amount: Decimal) -> Decimal:
    """Round ``amount`` to two places, half away from zero."""
    return amount.quantize(_CENT, rounding=ROUND_HALF_UP)
