"""A sheet that text is written on: nothing leaves its box, and what was written where can be asked afterwards."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from inference.page.typeface import Typeface

Colour = tuple[int, int, int]
Rgb = npt.NDArray[np.uint8]

SHEET_PX = (1600, 1200)
LEAST_TEXT_PX = 20
"""Smallest em on the sheet: 12.8 px where the sheet is shown 1024 px wide."""
BEARING_PX = 2
"""Letters may reach so far beyond the width that the font states."""
BASELINE_EM = 0.37
"""The baseline below the middle of the letters, in ems."""
LINE_RATIO = 1.32
"""Distance of the lines of a paragraph, in ems."""
BACKGROUND: Colour = (16, 18, 22)
INK: Colour = (232, 235, 240)
FAINT: Colour = (176, 184, 196)
ELLIPSIS = "…"


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in pixels; right and bottom are outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.right - self.left

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.bottom - self.top

    def holds(self, other: "Box") -> bool:
        """Whether the other lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """How text looks."""

    size_px: int = 22
    is_bold: bool = False
    colour: Colour = INK
    align: Literal["left", "middle", "right"] = "left"


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """One line of text as it is on the sheet."""

    text: str
    """As asked for."""
    shown: str
    """As it is: shorter, with an ellipsis, where even the smallest letters did not fit."""
    box: Box
    ink: Box
    """The pixels the letters really take."""
    size_px: int


@dataclass(slots=True)
class Sheet:
    """A picture with text boxes."""

    typeface: Typeface
    image: Image.Image = field(default_factory=lambda: Image.new("RGB", SHEET_PX, BACKGROUND))
    written: list[Written] = field(default_factory=list)

    def write(self, text: str, box: Box, style: Style = Style()) -> None:
        """One line, in the middle of the box's height; smaller or cut where it is too wide."""
        asked, text = text, self.typeface.known(text)
        room = box.width - 2 * BEARING_PX
        size_px = style.size_px
        while size_px > LEAST_TEXT_PX and self._width(text, size_px, style) > room:
            size_px -= 1
        if self._width(text, size_px, style) > room:
            text = self._cut(text, room, size_px, style)
        x = {
            "left": box.left + BEARING_PX,
            "middle": (box.left + box.right) / 2,
            "right": box.right - BEARING_PX,
        }[style.align]
        position = (x, round((box.top + box.bottom) / 2 + BASELINE_EM * size_px))
        anchor = {"left": "ls", "middle": "ms", "right": "rs"}[style.align]
        font = self.typeface.font(size_px, is_bold=style.is_bold)
        draw = ImageDraw.Draw(self.image)
        draw.text(position, text, fill=style.colour, font=font, anchor=anchor)
        left, top, right, bottom = draw.textbbox(position, text, font=font, anchor=anchor)
        ink = Box(int(left), int(top), int(np.ceil(right)), int(np.ceil(bottom)))
        self.written.append(Written(text=asked, shown=text, box=box, ink=ink, size_px=size_px))

    def paragraphs(self, texts: list[str], box: Box, style: Style, more: str) -> None:
        """Texts below each other, wrapped; `more` (with {count}) says how many found no room."""
        line_px = round(style.size_px * LINE_RATIO)
        room = box.height // line_px
        wrapped = [self.wrapped(text, box.width - 2 * BEARING_PX, style) for text in texts]
        if sum(map(len, wrapped)) > room:
            shown = 0
            while sum(map(len, wrapped[: shown + 1])) < room:
                shown += 1
            wrapped = [*wrapped[:shown], [more.format(count=len(texts) - shown)]]
        top = box.top
        for line in (line for lines in wrapped for line in lines):
            self.write(line, Box(box.left, top, box.right, top + line_px), style)
            top += line_px

    def wrapped(self, text: str, width_px: int, style: Style) -> list[str]:
        """The text in lines that fit; broken between words, a longer word anywhere."""
        lines: list[str] = []
        line = ""
        for word in self.typeface.known(text).split():
            longer = f"{line} {word}".strip()
            if self._width(longer, style.size_px, style) <= width_px:
                line = longer
                continue
            if line:
                lines.append(line)
            while self._width(word, style.size_px, style) > width_px and len(word) > 1:
                count = next(
                    n
                    for n in range(len(word) - 1, 0, -1)
                    if n == 1 or self._width(word[:n], style.size_px, style) <= width_px
                )
                lines.append(word[:count])
                word = word[count:]
            line = word
        return [*lines, line] if line else lines

    def show(self, picture: Image.Image, box: Box) -> Box:
        """The picture as large as fits, in the middle of the box; where it came to lie."""
        scale = min(box.width / picture.width, box.height / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        left = box.left + (box.width - size[0]) // 2
        top = box.top + (box.height - size[1]) // 2
        self.image.paste(picture.resize(size, Image.Resampling.BICUBIC), (left, top))
        return Box(left, top, left + size[0], top + size[1])

    def fill(self, box: Box, colour: Colour) -> None:
        """A rectangle of one colour."""
        ImageDraw.Draw(self.image).rectangle(
            (box.left, box.top, box.right - 1, box.bottom - 1), fill=colour
        )

    @property
    def pixels(self) -> Rgb:
        """RGB [row, column, channel]."""
        return np.asarray(self.image)

    def _width(self, text: str, size_px: int, style: Style) -> float:
        return self.typeface.font(size_px, is_bold=style.is_bold).getlength(text)

    def _cut(self, text: str, width_px: int, size_px: int, style: Style) -> str:
        ellipsis = self.typeface.known(ELLIPSIS)
        while text and self._width(text + ellipsis, size_px, style) > width_px:
            text = text[:-1]
        return text.rstrip() + ellipsis
