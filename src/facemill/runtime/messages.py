"""Pictures that say why there is none."""

from __future__ import annotations

import textwrap

from PIL import Image, ImageDraw

PAPER, INK = (255, 255, 255), "#26282c"
LINE, BORDER, LETTER = 16, 12, 7


def message(text: str, width: int = 900, height: int = 0) -> Image.Image:
    """Words on a white page `width` pixels wide, as high as they need, at least `height`."""
    letters = max(8, (width - 2 * BORDER) // LETTER)
    lines = textwrap.wrap(text, letters) or [""]
    page = Image.new("RGB", (width, max(height, 2 * BORDER + LINE * len(lines))), PAPER)
    pen = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        pen.text((BORDER, BORDER + LINE * number), line, fill=INK)
    return page
