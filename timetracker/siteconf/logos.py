"""The company's logo: a picture, and nothing that a browser would run or that is much larger than it looks."""

from __future__ import annotations

from io import BytesIO
from pathlib import PurePosixPath
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import UploadedFile

__all__ = ["LOGO_MEGABYTES", "LOGO_PIXELS", "LogoField"]

# The most that a logo may have, in MiB and on each side; the most that is kept of a side.
LOGO_MEGABYTES, LOGO_PIXELS, _KEPT_PIXELS = 2, 6000, 1600
_FORMATS = {"png": "PNG", "jpg": "JPEG", "jpeg": "JPEG", "webp": "WEBP"}


class LogoField(forms.FileField):
    """A picture that is what its name says. It is drawn anew: what else the file had in it, before, behind or within, is gone."""

    widget = forms.ClearableFileInput

    def __init__(self, **options: Any) -> None:
        """Tell people what is taken."""
        options.setdefault("help_text", f"PNG, JPG or WEBP; up to {LOGO_MEGABYTES} MB.")
        super().__init__(**options)

    def widget_attrs(self, widget: forms.Widget) -> dict[str, Any]:
        """Let the browser offer what is taken."""
        return super().widget_attrs(widget) | {"accept": ",".join(f".{ending}" for ending in _FORMATS)}

    def clean(self, data: Any, initial: Any = None) -> Any:
        """Draw a picture that was sent; refuse what is none."""
        found = super().clean(data, initial)
        return self._drawn(data) if isinstance(data, UploadedFile) and found is data else found

    def _drawn(self, upload: UploadedFile[bytes]) -> ContentFile[bytes]:
        name = upload.name or ""
        kind = _FORMATS.get(PurePosixPath(name).suffix.removeprefix(".").lower())
        if kind is None:
            raise ValidationError(f"“{name}” is not taken. Choose a PNG, JPG or WEBP picture.", code="ending")
        if (upload.size or 0) > LOGO_MEGABYTES * 1024 * 1024:
            raise ValidationError(f"“{name}” has more than {LOGO_MEGABYTES} MB. Choose a smaller picture.", code="size")
        # Most processes draw nothing, and need not load what does.
        from PIL import Image

        try:
            upload.seek(0)
            # Of this format alone: Pillow reads many, some of them with programs of others.
            with Image.open(upload, formats=(kind,)) as picture:
                if max(picture.size) > LOGO_PIXELS:
                    raise Image.DecompressionBombError
                picture.thumbnail((_KEPT_PIXELS, _KEPT_PIXELS))
                drawn = BytesIO()
                picture.convert("RGB" if kind == "JPEG" else "RGBA").save(drawn, kind)
        except Image.DecompressionBombError as error:
            sentence = f"“{name}” has too many pixels: {LOGO_PIXELS} on a side is the most. Make it smaller."
            raise ValidationError(sentence, code="pixels") from error
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise ValidationError(f"“{name}” is no {kind} picture inside. Save it as one, and choose it again.", code="content") from error
        return ContentFile(drawn.getvalue(), name=PurePosixPath(name).name)
