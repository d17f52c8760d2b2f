"""The portal's colour, which anybody can read, and its logo."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path
from random import Random

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from PIL import Image

from backups import gate
from portal.branding import DARK_GROUNDS, LIGHT_GROUNDS, brand_sheet, contrast, sheet_digest
from portal.tests.conftest import Side
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.storages import storage_fails

pytestmark = pytest.mark.django_db

SEED = 20250303
EXTREMES = ("#000000", "#ffffff", "#ff0000", "#00ff00", "#0000ff", "#ffff00", "#00ffff", "#ff00ff", "#777777", "#ffffe0", "#0a0a0a")


def colours() -> list[str]:
    """Extremes, and 300 of the others."""
    random = Random(SEED)  # noqa: S311 (which colours are tried)
    return [*EXTREMES, *(f"#{random.randrange(1 << 24):06x}" for _ in range(300))]


def save_logo(site: SiteSettings, name: str = "logo.png") -> bytes:
    """Give the site a logo; its bytes."""
    out = BytesIO()
    Image.new("RGB", (30, 10), "#c0392b").save(out, "PNG")
    site.logo.save(name, ContentFile(out.getvalue()))
    return out.getvalue()


def test_every_colour_becomes_one_that_can_be_read_in_both_themes() -> None:
    for colour in colours():
        themes = re.findall(r"--accent: (#\w+); --accent-strong: (#\w+); --focus: (#\w+); --on-accent: (#\w+);", brand_sheet(colour))
        assert len(themes) == 2, colour
        for grounds, (accent, strong, focus, text) in zip((LIGHT_GROUNDS, DARK_GROUNDS), themes, strict=True):
            for ground in grounds:
                assert min(contrast(found, ground) for found in (accent, strong, focus)) >= 4.5, (colour, ground)
            assert min(contrast(text, found) for found in (accent, strong)) >= 4.5, colour


def test_a_colour_that_can_be_read_stays_as_it_is() -> None:
    assert "--accent: #1f5f8b;" in brand_sheet("#1f5f8b") and contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_grounds_are_those_of_the_site() -> None:
    light, dark = (settings.BASE_DIR / "static" / "site.css").read_text().split("prefers-color-scheme: dark")[:2]
    for sheet, grounds in ((light, LIGHT_GROUNDS), (dark, DARK_GROUNDS)):
        names = ("surface", "surface-raised", "notice", "bad-surface")
        assert tuple(re.search(rf"--{name}: (#\w+);", sheet)[1] for name in names) == grounds  # type: ignore[index]


def test_pages_and_login_have_name_colour_and_logo_of_the_company(browser: Browser) -> None:
    site = SiteSettings.objects.create(company_name="Example Studio", portal_color="#E8A33D")
    content = save_logo(site)
    for visitor, page in ((browser, "dashboard"), (browser, "change_password"), (Browser(), "login"), (Browser(), "forgotten")):
        html = visitor.get(reverse(f"portal:{page}")).content.decode()
        sheet = re.search(r'href="(/portal/brand/[^"]+\.css)"', html)
        logo = re.search(r'src="(/portal/brand/[^"]+)"', html)
        assert sheet and logo and re.search(r"Example Studio\s*</a>", html), page
        answers = [Browser().get(found[1]) for found in (sheet, logo)]
        assert [answer["Content-Type"] for answer in answers] == ["text/css; charset=utf-8", "image/png"]
        assert b"".join(answers[1]) == content
        assert "#e8a33d" in answers[0].content.decode()
        for answer in answers:
            assert answer["X-Content-Type-Options"] == "nosniff" and "immutable" in answer["Cache-Control"]
        assert "sandbox" in answers[1]["Content-Security-Policy"]


def test_the_sheet_is_made_without_a_query_and_only_under_its_own_digest() -> None:
    address = reverse("portal:brand_sheet", args=["1f5f8b", sheet_digest("#1f5f8b")])
    with CaptureQueriesContext(connection) as queries:
        assert Browser().get(address).status_code == 200
    assert not len(queries)
    for wrong in (address.replace("1f5f8b-", "1f5f8c-"), "/portal/brand/1f5f8b-000000000000.css", "/portal/brand/1f5f8bff-abcdef.css"):
        assert Browser().get(wrong).status_code == 404, wrong


@pytest.mark.parametrize("colour", ["", "red", "#12345", "#12345g", "#fff;}*"])
def test_a_colour_that_is_none_counts_as_not_set(colour: str) -> None:
    SiteSettings.objects.create(portal_color=colour)
    html = Browser().get(reverse("portal:login")).content.decode()
    assert "/portal/brand/" not in html and re.search(r"TimeTracker\s*</a>", html)


def test_a_logo_that_is_no_picture_by_name_or_cannot_be_had_is_not_served(own: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    site = SiteSettings.objects.create()
    save_logo(site, "logo.svg")
    address = reverse("portal:login")

    def logo() -> str:
        found = re.search(r'src="(/portal/brand/[^"]+)"', Browser().get(address).content.decode())
        return found[1] if found else ""

    assert Browser().get(logo()).status_code == 404
    save_logo(site)
    there = logo()
    b"".join(Browser().get(there))
    with monkeypatch.context() as patch:
        storage_fails(patch, "open")
        assert Browser().get(there).status_code == 404
    Path(site.logo.path).unlink()
    assert Browser().get(there).status_code == 404
    assert Browser().get("/portal/brand/logo-000000000000").status_code == 404


def test_during_a_restore_the_look_is_not_asked_for(browser: Browser) -> None:
    SiteSettings.objects.create(company_name="Example Studio", portal_color="#e8a33d")
    gate.gate_raise("restore-of-the-test", "restore")
    try:
        with CaptureQueriesContext(connection) as queries:
            html = browser.get(reverse("portal:documents")).content.decode()
    finally:
        gate.gate_open()
    assert "/portal/brand/" not in html and not [query for query in queries if "siteconf" in query["sql"]]


def test_the_settings_refuse_what_is_no_colour() -> None:
    with pytest.raises(ValidationError, match="six digits"):
        SiteSettings(portal_color="blue").clean_fields()
