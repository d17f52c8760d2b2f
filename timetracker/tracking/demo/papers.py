"""PDFs: receipts, contracts, reports and scans. The same input gives the same bytes (reportlab's invariant mode)."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from io import BytesIO

from reportlab.lib.pagesizes import A4, A6
from reportlab.lib.units import mm
from reportlab.lib.utils import ImageReader
from reportlab.pdfgen.canvas import Canvas

__all__ = ["letter_pdf", "receipt_pdf", "scan_pdf"]


def receipt_pdf(*, number: int, title: str, spent_on: date, amount: Decimal, currency: str) -> bytes:
    """Return a small receipt of one line."""
    output = BytesIO()
    page = Canvas(output, pagesize=A6, invariant=1)
    page.setTitle(f"Receipt {number:04d}")
    width, height = A6
    page.setFont("Helvetica-Bold", 13)
    page.drawString(10 * mm, height - 16 * mm, "Sample Shop")
    page.setFont("Helvetica", 8)
    page.drawString(10 * mm, height - 22 * mm, "Specimen Square 1, 10000 Exampleville")
    page.drawString(10 * mm, height - 34 * mm, f"Receipt {number:04d}")
    page.drawRightString(width - 10 * mm, height - 34 * mm, spent_on.isoformat())
    page.line(10 * mm, height - 38 * mm, width - 10 * mm, height - 38 * mm)
    page.drawString(10 * mm, height - 45 * mm, title)
    page.drawRightString(width - 10 * mm, height - 45 * mm, f"{amount} {currency}")
    page.line(10 * mm, height - 49 * mm, width - 10 * mm, height - 49 * mm)
    page.setFont("Helvetica-Bold", 10)
    page.drawString(10 * mm, height - 56 * mm, "Total")
    page.drawRightString(width - 10 * mm, height - 56 * mm, f"{amount} {currency}")
    page.setFont("Helvetica", 8)
    page.drawString(10 * mm, 12 * mm, "Thank you. Demo data: no real sale.")
    page.save()
    return output.getvalue()


def letter_pdf(*, sender: str, recipient: str, on: date, title: str, paragraphs: Sequence[str]) -> bytes:
    """Return a letter of one page or more; ``recipient`` may have lines, paragraphs are wrapped at 90 characters."""
    output = BytesIO()
    page = Canvas(output, pagesize=A4, invariant=1)
    page.setTitle(title)
    page.setAuthor(sender)
    width, height = A4
    page.setFont("Helvetica", 8)
    page.drawString(25 * mm, height - 20 * mm, sender)
    page.setFont("Helvetica", 10)
    y = height - 45 * mm
    for line in recipient.splitlines():
        page.drawString(25 * mm, y, line)
        y -= 5 * mm
    page.drawRightString(width - 25 * mm, y, on.isoformat())
    page.setFont("Helvetica-Bold", 14)
    page.drawString(25 * mm, y - 15 * mm, title)
    y -= 27 * mm
    page.setFont("Helvetica", 10)
    for paragraph in paragraphs:
        for line in _wrapped(paragraph, 90):
            if y < 25 * mm:
                page.showPage()
                page.setFont("Helvetica", 10)
                y = height - 25 * mm
            page.drawString(25 * mm, y, line)
            y -= 5 * mm
        y -= 3 * mm
    page.save()
    return output.getvalue()


def _wrapped(text: str, width: int) -> list[str]:
    lines = [""]
    for word in text.split():
        if len(lines[-1]) + len(word) >= width and lines[-1]:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


def scan_pdf(*, title: str, jpeg: bytes) -> bytes:
    """Return a page that is filled by a picture, as scanners make it; the JPEG's bytes are taken over as they are."""
    output = BytesIO()
    page = Canvas(output, pagesize=A4, invariant=1)
    page.setTitle(title)
    page.drawImage(ImageReader(BytesIO(jpeg)), 0, 0, *A4)
    page.save()
    return output.getvalue()
