"""The PDF of an invoice: A4, as many pages as it takes, with the company's logo and the fonts that it needs inside.

The fonts are DejaVu Sans Condensed: Latin, Greek, Cyrillic and more, and the signs of currencies. What they lack is an empty box.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

from PIL import Image as Picture
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import BaseDocTemplate, Flowable, Frame, Image, KeepTogether, PageTemplate, Paragraph, Spacer, Table, TableStyle

from timetracker.attachments import storage_asked
from timetracker.billing.models import Invoice, InvoiceItem
from timetracker.siteconf.models import SiteSettings

__all__ = ["invoice_pdf"]

logger = logging.getLogger(__name__)

_FONTS = Path(__file__).with_name("fonts")
_PLAIN, _BOLD = "DejaVuSansCondensed", "DejaVuSansCondensed-Bold"
_INK, _QUIET, _LINE, _GROUND = HexColor("#111827"), HexColor("#5b6472"), HexColor("#d5d9e0"), HexColor("#f3f5f8")
_SIDE, _TOP, _BOTTOM = 20 * mm, 18 * mm, 24 * mm
_WIDTH = A4[0] - 2 * _SIDE
_SIDES = ("LEFTPADDING", "RIGHTPADDING", "TOPPADDING", "BOTTOMPADDING")
# The room for the logo, and the most pixels of a side that are put into the file.
_LOGO_WIDTH, _LOGO_HEIGHT, _LOGO_PIXELS = 70 * mm, 22 * mm, 1200


def invoice_pdf(invoice: Invoice, *, site: SiteSettings) -> bytes:
    """Return the document. A logo that cannot be read is left out, and logged."""
    _register_fonts()
    title = f"Invoice {invoice.number}" if invoice.number else f"{invoice} of an invoice"
    output = BytesIO()
    author = site.company_name or "TimeTracker"
    footer = " · ".join(part for part in (site.company_name, title) if part)
    document = _Document(output, title=title, author=author, footer=footer, is_draft=invoice.is_draft)
    items = list(invoice.items.all())
    document.build(
        [
            *_head(invoice, site),
            Paragraph(_text(title), _style(17, bold=True, after=5 * mm)),
            _facts(invoice),
            Spacer(0, 7 * mm),
            _lines(items),
            KeepTogether([Spacer(0, 3 * mm), _totals(invoice, items, site)]),
            *_tail(invoice, site),
        ],
        canvasmaker=_NumberedCanvas,
    )
    return output.getvalue()


# --- parts ------------------------------------------------------------------------------------------------------------


def _head(invoice: Invoice, site: SiteSettings) -> list[Flowable]:
    """The logo, who writes, and to whom."""
    sender = [part for part in (site.company_address, site.company_email, site.tax_number and f"Tax number {site.tax_number}") if part]
    name = Paragraph(_text(site.company_name or "TimeTracker"), _style(10, bold=True, right=True))
    company = [name, Paragraph(_text("\n".join(sender)), _style(8.5, quiet=True, right=True))]
    client = invoice.client
    recipient = [part for part in (client.contact_name, client.address) if part]
    top = Table(
        [[_logo(site) or "", company]], colWidths=[_WIDTH / 2, _WIDTH / 2], style=_bare(("VALIGN", (0, 0), (-1, -1), "TOP")), splitInRow=1
    )
    return [
        top,
        Spacer(0, 12 * mm),
        Paragraph("To", _style(8, quiet=True)),
        Paragraph(_text(client.name), _style(11, bold=True)),
        Paragraph(_text("\n".join(recipient)), _style(10)),
        Spacer(0, 14 * mm),
    ]


def _facts(invoice: Invoice) -> Table:
    """Date, due date and currency, side by side."""
    facts = [("Date", _day(invoice.issued_on)), ("Due", _day(invoice.due_on)), ("Currency", invoice.currency)]
    cells = [[Paragraph(name, _style(8, quiet=True)), Paragraph(value, _style(10, bold=True))] for name, value in facts]
    return Table([cells], colWidths=[50 * mm, 50 * mm, _WIDTH - 100 * mm], style=_bare())


def _lines(items: Iterable[InvoiceItem]) -> Table:
    """The lines; their heading is on each page."""
    head = _style(8, quiet=True)
    head_right = _style(8, quiet=True, right=True)
    rows: list[list[Any]] = [[Paragraph("Description", head), *(Paragraph(name, head_right) for name in ("Quantity", "Price", "Amount"))]]
    plain, right = _style(9.5), _style(9.5, right=True)
    for item in items:
        quantity = f"{item.quantity:,.2f}" + (f"\N{NO-BREAK SPACE}{item.unit}" if item.unit else "")
        rows.append(
            [
                Paragraph(_text(item.description), plain),
                Paragraph(_text(quantity), right),
                Paragraph(_amount(item.unit_price), right),
                Paragraph(_amount(item.amount), right),
            ]
        )
    style = TableStyle(
        [
            ("VALIGN", (0, 0), (-1, -1), "TOP"),
            ("BACKGROUND", (0, 0), (-1, 0), _GROUND),
            ("LINEBELOW", (0, 0), (-1, -1), 0.5, _LINE),
            ("TOPPADDING", (0, 0), (-1, -1), 2 * mm),
            ("BOTTOMPADDING", (0, 0), (-1, -1), 2 * mm),
            ("LEFTPADDING", (0, 0), (-1, -1), 2 * mm),
            ("RIGHTPADDING", (0, 0), (-1, -1), 2 * mm),
        ]
    )
    return Table(rows, colWidths=[_WIDTH - 84 * mm, 26 * mm, 28 * mm, 30 * mm], style=style, repeatRows=1)


def _totals(invoice: Invoice, items: list[InvoiceItem], site: SiteSettings) -> Table:
    """Net, tax and what is to be paid."""
    subtotal = sum((item.amount for item in items), Decimal(0))
    total = invoice.total
    tax = f"{site.tax_name}, {invoice.tax_rate.normalize():f}\N{NO-BREAK SPACE}%"
    plain, right, large, large_right = _style(9.5), _style(9.5, right=True), _style(12, bold=True), _style(12, bold=True, right=True)
    rows = [
        [Paragraph("Net", plain), Paragraph(_money(subtotal, invoice.currency), right)],
        [Paragraph(_text(tax), plain), Paragraph(_money(total - subtotal, invoice.currency), right)],
        [Paragraph("Total", large), Paragraph(_money(total, invoice.currency), large_right)],
    ]
    style = _bare(
        ("LINEABOVE", (0, 2), (-1, 2), 1, _INK),
        ("TOPPADDING", (0, 0), (-1, -1), 1.2 * mm),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 1.2 * mm),
        ("RIGHTPADDING", (0, 0), (-1, -1), 2 * mm),
        ("LEFTPADDING", (0, 0), (-1, -1), 2 * mm),
    )
    return Table(rows, colWidths=[38 * mm, 52 * mm], hAlign="RIGHT", style=style)


def _tail(invoice: Invoice, site: SiteSettings) -> list[Flowable]:
    """What else is said, and how to pay."""
    parts: list[Flowable] = []
    if invoice.notes.strip():
        parts += [Spacer(0, 8 * mm), Paragraph(_text(invoice.notes.strip()), _style(9.5))]
    is_owed = invoice.status in (Invoice.Status.DRAFT, Invoice.Status.SENT) and invoice.total > 0
    if is_owed and site.payment_details.strip():
        number = f" Give {invoice.number} as the reference." if invoice.number else ""
        asked = f"Please pay {_money(invoice.total, invoice.currency)} by {_day(invoice.due_on)}.{number}"
        words = f'<font name="{_BOLD}">{_text(asked)}</font><br/>{_text(site.payment_details.strip())}'
        parts += [Spacer(0, 12 * mm), Paragraph(words, _style(9.5, boxed=True))]
    return parts


def _logo(site: SiteSettings) -> Image | None:
    """The logo within its room, at no more pixels than print shows; None where there is none that can be read."""
    if not site.logo:
        return None
    try:
        # Whatever the storage or the picture's own library fails with.
        with storage_asked(), site.logo.open("rb") as file, Picture.open(file, formats=("PNG", "JPEG", "WEBP")) as picture:
            picture.thumbnail((_LOGO_PIXELS, _LOGO_PIXELS))
            small = BytesIO()
            picture.convert("RGBA").save(small, "PNG")
    except OSError as error:
        logger.warning("Invoices are made without the logo %s: %s", site.logo.name, error)
        return None
    small.seek(0)
    image = Image(small, hAlign="LEFT", mask="auto")
    image._restrictSize(_LOGO_WIDTH, _LOGO_HEIGHT)
    return image


# --- paper ------------------------------------------------------------------------------------------------------------


class _Document(BaseDocTemplate):  # type: ignore[misc]
    """A4 with a footer, and a word across the page of what is no invoice yet."""

    def __init__(self, output: BytesIO, *, title: str, author: str, footer: str, is_draft: bool) -> None:
        """Make the one kind of page."""
        super().__init__(output, pagesize=A4, title=title, author=author, subject=title, creator="TimeTracker", lang="en")
        self.footer, self.is_draft = footer, is_draft
        frame = Frame(_SIDE, _BOTTOM, _WIDTH, A4[1] - _TOP - _BOTTOM, leftPadding=0, rightPadding=0, topPadding=0, bottomPadding=0)
        self.addPageTemplates(PageTemplate(frames=[frame], onPage=self._paint))

    def _paint(self, page: Canvas, _document: BaseDocTemplate) -> None:
        page.saveState()
        if self.is_draft:
            page.setFont(_BOLD, 96)
            page.setFillColor(HexColor("#eceff3"))
            page.translate(A4[0] / 2, A4[1] / 2)
            page.rotate(52)
            page.drawCentredString(0, -30, "DRAFT")
        page.restoreState()
        page.saveState()
        page.setStrokeColor(_LINE)
        page.line(_SIDE, 16 * mm, A4[0] - _SIDE, 16 * mm)
        page.setFont(_PLAIN, 8)
        page.setFillColor(_QUIET)
        page.drawString(_SIDE, 11.5 * mm, _printable(self.footer)[:90])
        page.restoreState()


class _NumberedCanvas(Canvas):  # type: ignore[misc]
    """Pages that say of how many they are, which is known at the end."""

    def __init__(self, *args: Any, **options: Any) -> None:
        """Keep the pages until then."""
        super().__init__(*args, **options)
        self._pages: list[dict[str, Any]] = []

    def showPage(self) -> None:  # noqa: N802 (reportlab's name)
        """Keep a page."""
        self._pages.append(dict(self.__dict__))
        self._startPage()

    def save(self) -> None:
        """Number and write them all."""
        for number, page in enumerate(self._pages, 1):
            self.__dict__.update(page)
            self.setFont(_PLAIN, 8)
            self.setFillColor(_QUIET)
            self.drawRightString(A4[0] - _SIDE, 11.5 * mm, f"Page {number} of {len(self._pages)}")
            super().showPage()
        super().save()


# --- words ------------------------------------------------------------------------------------------------------------


@cache
def _register_fonts() -> None:
    for name in (_PLAIN, _BOLD):
        pdfmetrics.registerFont(TTFont(name, _FONTS / f"{name}.ttf"))


def _style(
    size: float, *, bold: bool = False, quiet: bool = False, right: bool = False, boxed: bool = False, after: float = 0
) -> ParagraphStyle:
    box = {"backColor": _GROUND, "borderPadding": 4 * mm, "leftIndent": 4 * mm, "rightIndent": 4 * mm} if boxed else {}
    return ParagraphStyle(
        "words",
        fontName=_BOLD if bold else _PLAIN,
        fontSize=size,
        leading=size * 1.35,
        textColor=_QUIET if quiet else _INK,
        alignment=TA_RIGHT if right else 0,
        spaceAfter=after,
        splitLongWords=1,
        **box,
    )


def _bare(*commands: Any) -> TableStyle:
    """A table without its usual padding."""
    return TableStyle([*((side, (0, 0), (-1, -1), 0) for side in _SIDES), *commands])


def _text(words: str) -> str:
    """Return what people typed as reportlab's markup: their own signs stand for themselves, their lines stay."""
    return "<br/>".join(escape(line) for line in _printable(words).splitlines())


def _printable(words: str) -> str:
    return "".join(sign if sign.isprintable() or sign in "\n\N{NO-BREAK SPACE}" else " " for sign in words.replace("\r\n", "\n"))


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"


def _amount(value: Decimal) -> str:
    return f"{value:,.2f}".replace("-", "\N{MINUS SIGN}")


def _money(value: Decimal, currency: str) -> str:
    return f"{_amount(value)}\N{NO-BREAK SPACE}{currency}"
