"""A logo is a picture and nothing else: what would run in a browser, or is much larger than it looks, is refused."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from PIL import Image, PngImagePlugin

from timetracker.accounts.models import User
from timetracker.siteconf.models import SiteSettings
from timetracker.tests.people import browser_of

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script>"


def picture(kind: str, size: tuple[int, int] = (64, 32), *, mode: str = "RGB", **options: Any) -> bytes:
    output = BytesIO()
    Image.new(mode, size, "#0f766e").save(output, kind, **options)
    return output.getvalue()


@pytest.fixture
def site(db: None) -> SiteSettings:
    return SiteSettings.objects.create(company_name="Example Studio")


def sent(name: str, content: bytes, kind: str = "image/png") -> str:
    """Send it by the form of the settings; what the page says of it, or nothing where it is kept."""
    browser = browser_of(User.objects.create_superuser("boss"))
    form = {field.name: getattr(SiteSettings.load(), field.name) for field in SiteSettings._meta.fields if field.editable}
    form |= {"logo": SimpleUploadedFile(name, content, content_type=kind)}
    answer = browser.post(reverse("admin:siteconf_sitesettings_change", args=[1]), form)
    return "" if answer.status_code == 302 else " ".join(answer.context["adminform"].form.errors.get("logo", ["?"]))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("logo.svg", SVG, "is not taken"),
        ("logo.html", HTML, "is not taken"),
        ("logo.png.svg", SVG, "is not taken"),
        ("logo", picture("PNG"), "is not taken"),
        ("logo.gif", picture("GIF"), "is not taken"),
        ("logo.png", SVG, "is no PNG picture inside"),
        ("logo.png", HTML, "is no PNG picture inside"),
        ("logo.jpg", picture("PNG"), "is no JPEG picture inside"),
        ("logo.png", picture("GIF"), "is no PNG picture inside"),
        ("logo.png", picture("EPS"), "is no PNG picture inside"),
        ("logo.png", picture("PNG")[:50], "is no PNG picture inside"),
        ("logo.png", b"\x89PNG\r\n\x1a\n" + HTML, "is no PNG picture inside"),
        ("logo.webp", b"RIFF\0\0\0\0WEBP" + SVG, "is no WEBP picture inside"),
        ("logo.png", picture("PNG", (6001, 1)), "6000 on a side is the most"),
        ("logo.png", b"\x89PNG\r\n\x1a\n" + b"\0" * 2_100_000, "more than 2 MB"),
        ("logo.png", b"", "empty"),
    ],
)
def test_what_is_no_picture_is_refused(site: SiteSettings, media: Path, name: str, content: bytes, said: str) -> None:
    assert said in sent(name, content)
    site.refresh_from_db()
    assert not site.logo and not media.exists()


def test_a_picture_that_unpacks_to_much_more_is_refused(site: SiteSettings, media: Path) -> None:
    content = picture("PNG", (20_000, 20_000), mode="1")
    assert len(content) < 100_000
    assert "6000 on a side is the most" in sent("logo.png", content)
    site.refresh_from_db()
    assert not site.logo and not media.exists()


@pytest.mark.parametrize(("name", "kind"), [("Logo.PNG", "PNG"), ("logo.jpeg", "JPEG"), ("logo.webp", "WEBP")])
def test_picture_is_kept_without_what_else_was_in_the_file(site: SiteSettings, media: Path, name: str, kind: str) -> None:
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", "<script>alert(2)</script>")
    options: dict[str, Any] = {"pnginfo": notes} if kind == "PNG" else {}
    # Browsers that guess would find the end of it.
    assert sent(name, picture(kind, (2000, 500), **options) + HTML) == ""
    site.refresh_from_db()
    content = (media / str(site.logo.name)).read_bytes()
    assert b"script" not in content
    with Image.open(BytesIO(content)) as kept:
        assert kept.format == kind and kept.size == (1600, 400)


def test_settings_are_saved_without_choosing_the_logo_again(site: SiteSettings, media: Path) -> None:
    site.logo = "branding/gone.png"
    site.save()
    browser = browser_of(User.objects.create_superuser("boss"))
    form = {field.name: getattr(site, field.name) for field in SiteSettings._meta.fields if field.editable and field.name != "logo"}
    assert browser.post(reverse("admin:siteconf_sitesettings_change", args=[1]), form | {"company_name": "New"}).status_code == 302
    site.refresh_from_db()
    assert (site.company_name, site.logo.name) == ("New", "branding/gone.png")
