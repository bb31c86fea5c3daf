"""One HTML page that needs no other file: committed tables as they are, pictures inside it."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import markdown

STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:70rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.6rem 0}td,th{border:1px solid #ddd;padding:.25rem .6rem;text-align:left}
th{background:#f3f3f3}figure{margin:1rem 0}img{max-width:100%}figcaption{font-size:.92em;color:#555}
h2{margin-top:2.5rem;border-top:1px solid #ddd;padding-top:1rem}nav a{margin-right:1em}
.note{background:#fff4d6;padding:.6rem 1rem;border-left:4px solid #d9a400}pre{background:#f6f6f6;padding:.6rem;overflow:auto}"""
KINDS = {".png": "image/png", ".svg": "image/svg+xml"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A file that becomes part of the page."""

    path: Path
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading, a text in Markdown, pictures."""

    title: str
    text: str
    pictures: Sequence[Picture] = ()


def page(title: str, note: str, sections: Sequence[Section]) -> str:
    """The HTML; the note stands on top, wherever the page is opened."""
    links = "".join(
        f'<a href="#part-{n}">{escape(section.title)}</a>' for n, section in enumerate(sections)
    )
    parts = "".join(_section(n, section) for n, section in enumerate(sections))
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
        f'<p class="note">{escape(note)}</p><nav>{links}</nav>{parts}</body></html>\n'
    )


def _section(number: int, section: Section) -> str:
    text = markdown.markdown(section.text, extensions=["tables", "fenced_code"])
    pictures = "".join(_figure(one) for one in section.pictures)
    return f'<h2 id="part-{number}">{escape(section.title)}</h2>{text}{pictures}'


def _figure(picture: Picture) -> str:
    kind = KINDS[picture.path.suffix]
    data = base64.b64encode(picture.path.read_bytes()).decode("ascii")
    caption = escape(picture.caption)
    return (
        f'<figure><img alt="{caption}" src="data:{kind};base64,{data}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )
