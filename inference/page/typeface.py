"""The typeface of the picture page: shipped here, so that no machine draws boxes instead of letters."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import ImageFont

FONT_FOLDER = Path(__file__).parent / "fonts"
SIGNS = "–—−‘’“”•…‰′″→←↑↓≈≠≤≥√ΔμΩ△▲▼●○■□★※✓"
UNKNOWN = "?"
PLAIN = {"²": "2", "–": "-", "—": "-", "−": "-", "•": "*", "…": "..."}
"""For a typeface that has only the commonest letters."""


@cache
def drawable() -> str:
    """Every character the shipped fonts hold."""
    latin = [chr(code) for code in (*range(0x20, 0x7F), *range(0xA0, 0x100))]
    hangul = [
        bytes((row, cell)).decode("euc_kr")
        for row in range(0xB0, 0xC9)
        for cell in range(0xA1, 0xFF)
    ]
    return "".join([*latin, *SIGNS, *hangul])


@dataclass(frozen=True, slots=True, kw_only=True)
class Typeface:
    """Two weights and the characters they hold."""

    regular: Callable[[int], ImageFont.FreeTypeFont]
    bold: Callable[[int], ImageFont.FreeTypeFont]
    characters: frozenset[str]

    def font(self, size_px: int, *, is_bold: bool) -> ImageFont.FreeTypeFont:
        """The font of an em of so many pixels."""
        return (self.bold if is_bold else self.regular)(size_px)

    def known(self, text: str) -> str:
        """The text without characters the fonts lack: plain ones or question marks instead, never empty boxes."""
        return "".join(c if c in self.characters else PLAIN.get(c, UNKNOWN) for c in text)


def shipped_typeface(folder: Path = FONT_FOLDER) -> Typeface:
    """The fonts of this package; raises OSError where they are missing."""

    def weight(name: str) -> Callable[[int], ImageFont.FreeTypeFont]:
        path = folder / f"NotoSansCJKkr-{name}-subset.otf"
        with path.open("rb"):
            pass
        # Basic layout: the same with and without libraqm.
        return cache(
            lambda size_px: ImageFont.truetype(path, size_px, layout_engine=ImageFont.Layout.BASIC)
        )

    return Typeface(
        regular=weight("Regular"), bold=weight("Bold"), characters=frozenset(drawable())
    )


def plain_typeface() -> Typeface:
    """The letters that Pillow carries inside: enough for English where the fonts of this package are missing."""

    @cache
    def font(size_px: int) -> ImageFont.FreeTypeFont:
        found = ImageFont.load_default(size_px)
        assert isinstance(found, ImageFont.FreeTypeFont)
        return found

    return Typeface(
        regular=font, bold=font, characters=frozenset(chr(code) for code in range(0x20, 0x7F))
    )
