"""How the portal looks: the company's name, its logo, and links and buttons in its colour, which anybody can read.

The style sheet is made of the colour alone and its address has a digest of it, so that it is asked for without a query, and kept.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from hashlib import sha256

from django.urls import reverse

from timetracker.siteconf.models import SiteSettings

__all__ = ["Brand", "brand_of", "brand_sheet", "contrast", "logo_digest", "sheet_digest"]

# What the accent stands on in static/site.css: surface, surface-raised, notice and bad-surface of each theme.
LIGHT_GROUNDS = ("#ffffff", "#f5f7f9", "#fff6dc", "#fdeeec")
DARK_GROUNDS = ("#14191d", "#1e252b", "#332a10", "#3a1d1a")
# Of text on its ground (WCAG 2.2, 1.4.3); what is stronger still shows that the mouse is over it.
CONTRAST, STRONG_CONTRAST = 4.5, 7.0
# Steps from a colour to black or to white.
_STEPS = 256

_COLOUR = re.compile(r"#[0-9a-f]{6}")


@dataclass(frozen=True)
class Brand:
    """What a page's head shows. ``sheet`` and ``logo`` are addresses, empty where there is no colour or no logo."""

    name: str
    sheet: str
    logo: str


def brand_of(site: SiteSettings) -> Brand:
    """Return how the portal of ``site`` looks. A colour that is none, as a restore may bring it, counts as not set."""
    colour = site.portal_color.lower()
    has_colour = _COLOUR.fullmatch(colour) is not None
    return Brand(
        name=site.company_name or "TimeTracker",
        sheet=reverse("portal:brand_sheet", args=[colour.removeprefix("#"), sheet_digest(colour)]) if has_colour else "",
        logo=reverse("portal:logo", args=[logo_digest(site)]) if site.logo else "",
    )


def brand_sheet(colour: str) -> str:
    """Return the style sheet for ``colour`` (``#1f5f8b``): accents of the light and the dark theme, readable on all their grounds."""
    return (
        f":root {{ --brand: {colour}; {_accents(colour, LIGHT_GROUNDS, towards=0.0)} --on-accent: #ffffff; }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {_accents(colour, DARK_GROUNDS, towards=1.0)} --on-accent: #0e1a22; }} }}\n"
        ".site-header { border-top: 4px solid var(--brand); }\n"
    )


def sheet_digest(colour: str) -> str:
    """Return what the address of the sheet says of its content."""
    return sha256(brand_sheet(colour).encode()).hexdigest()[:12]


def logo_digest(site: SiteSettings) -> str:
    """Return what the address of the logo says of it: another one with each change of the settings."""
    return sha256(f"{site.logo.name} {site.updated_at}".encode()).hexdigest()[:12]


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    darker, lighter = sorted((_luminance(one), _luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def _accents(colour: str, grounds: tuple[str, ...], *, towards: float) -> str:
    accent, strong = (_readable(colour, grounds, towards=towards, least=least) for least in (CONTRAST, STRONG_CONTRAST))
    return f"--accent: {accent}; --accent-strong: {strong}; --focus: {strong};"


def _readable(colour: str, grounds: tuple[str, ...], *, towards: float, least: float) -> str:
    """The first colour on the way from ``colour`` to black (0) or white (1) that has the ``least`` contrast to each ground."""
    hue, lightness, saturation = colorsys.rgb_to_hls(*_parts(colour))
    for step in range(_STEPS + 1):
        tried = _written(*colorsys.hls_to_rgb(hue, lightness + (towards - lightness) * step / _STEPS, saturation))
        if all(contrast(tried, ground) >= least for ground in grounds):
            return tried
    raise ValueError(f"No shade of {colour} has a contrast of {least} to {', '.join(grounds)}.")


def _parts(colour: str) -> tuple[float, float, float]:
    red, green, blue = (int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5))
    return red, green, blue


def _written(*parts: float) -> str:
    return "#" + "".join(f"{round(part * 255):02x}" for part in parts)


def _luminance(colour: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in _parts(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
