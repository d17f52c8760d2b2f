"""PNGs and JPEGs: the logo, receipts, and photos. The same input gives the same bytes with the same Pillow."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from functools import cache
from io import BytesIO
from random import Random

from PIL import Image, ImageDraw, ImageFont

__all__ = ["logo_png", "photo_jpeg", "photo_png", "receipt_png"]


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)


def logo_png(text: str) -> bytes:
    """Return a logo of 640 by 160 pixels: a mark and the company's name."""
    image = Image.new("RGB", (640, 160), "#ffffff")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((16, 16, 144, 144), radius=28, fill="#0f766e")
    draw.arc((44, 44, 116, 116), start=-90, end=200, fill="#ffffff", width=12)
    draw.text((176, 48), text, fill="#134e4a", font=_font(56))
    return _encoded(image, "PNG")


def receipt_png(*, number: int, title: str, spent_on: date, amount: Decimal, currency: str) -> bytes:
    """Return a till receipt, as a phone's scanner makes it."""
    image = Image.new("L", (420, 560), 250)
    draw = ImageDraw.Draw(image)
    large, small = _font(26), _font(16)
    draw.text((210, 30), "SAMPLE SHOP", fill=20, font=large, anchor="ma")
    draw.text((210, 70), "Specimen Square 1, Exampleville", fill=60, font=small, anchor="ma")
    draw.line((30, 110, 390, 110), fill=90, width=2)
    draw.text((30, 130), f"No. {number:04d}", fill=30, font=small)
    draw.text((390, 130), spent_on.isoformat(), fill=30, font=small, anchor="ra")
    draw.text((30, 180), title, fill=30, font=small)
    draw.text((390, 210), f"{amount} {currency}", fill=30, font=small, anchor="ra")
    draw.line((30, 250, 390, 250), fill=90, width=2)
    draw.text((30, 270), "TOTAL", fill=10, font=large)
    draw.text((390, 270), f"{amount} {currency}", fill=10, font=large, anchor="ra")
    for bar in range(60):
        draw.rectangle((60 + bar * 5, 400, 60 + bar * 5 + 1 + (number * 7 + bar * bar) % 3, 470), fill=20)
    draw.text((210, 500), "Demo data: no real sale", fill=90, font=small, anchor="ma")
    return _encoded(image, "PNG", compress_level=2)


def photo_png(random: Random, size: tuple[int, int]) -> bytes:
    """Return a picture full of grain, in colour; nothing makes it smaller. About 2.6 bytes a pixel."""
    return _encoded(_grainy(random, size), "PNG", compress_level=1)


def photo_jpeg(random: Random, size: tuple[int, int]) -> bytes:
    """Return a picture full of grain, in colour. About 1.3 bytes a pixel."""
    return _encoded(_grainy(random, size), "JPEG", quality=88)


def _grainy(random: Random, size: tuple[int, int]) -> Image.Image:
    """Blend a wash of two colours with grain."""
    width, height = size
    wash = Image.linear_gradient("L").resize(size)
    colours: Sequence[tuple[int, int, int]] = [(random.randrange(256), random.randrange(256), random.randrange(256)) for _ in range(2)]
    ground = Image.composite(Image.new("RGB", size, colours[0]), Image.new("RGB", size, colours[1]), wash)
    grain = Image.frombytes("RGB", size, random.randbytes(width * height * 3))
    return Image.blend(ground, grain, 0.35)


def _encoded(image: Image.Image, kind: str, **options: int) -> bytes:
    output = BytesIO()
    image.save(output, kind, **options)
    return output.getvalue()
