"""A hospital's logo: any picture that was uploaded becomes one small PNG of known size."""

import base64
import hashlib
import io

from django import forms
from django.core.files.base import ContentFile
from django.core.files.storage import storages
from PIL import Image, ImageOps

MAX_BYTES = 2_000_000
MAX_PIXELS = 20_000_000
LONGEST_SIDE = 800  # pixels: enough for 5 cm in print


class LogoField(forms.FileField):
    """A PNG or JPEG, checked by its content; cleaned to a PIL image, or None."""

    widget = forms.FileInput(attrs={"accept": "image/png,image/jpeg"})

    def clean(self, data, initial=None):
        upload = super().clean(data, initial)
        if not upload:
            return None
        if upload.size > MAX_BYTES:
            raise forms.ValidationError("The logo is larger than 2 MB. Upload a smaller one.")
        try:
            picture = Image.open(upload, formats=["PNG", "JPEG"])
            if picture.width * picture.height > MAX_PIXELS:
                raise forms.ValidationError("The logo has too many pixels. 800 pixels on its longest side are enough.")
            return ImageOps.exif_transpose(picture).convert("RGBA")
        except (
            OSError,
            ValueError,
            SyntaxError,
            Image.DecompressionBombError,
        ):  # what Pillow raises of files that are none, or are cut off
            raise forms.ValidationError("This is no PNG or JPEG picture. Upload the logo as one.") from None


def keep_logo(picture):
    """Put a PIL image into the private storage, and return its name there."""
    picture.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
    on_paper = Image.new("RGB", picture.size, "white")
    on_paper.paste(picture, mask=picture.getchannel("A"))
    buffer = io.BytesIO()
    on_paper.save(buffer, "PNG", optimize=True)
    name = f"logos/{hashlib.sha256(buffer.getvalue()).hexdigest()}.png"
    storage = storages["private"]
    return name if storage.exists(name) else storage.save(name, ContentFile(buffer.getvalue()))


def shown(name):
    """The kept logo `name` as the source of an <img>, or "" where its file is gone."""
    storage = storages["private"]
    if not storage.exists(name):
        return ""
    with storage.open(name) as file:
        return f"data:image/png;base64,{base64.b64encode(file.read()).decode()}"
