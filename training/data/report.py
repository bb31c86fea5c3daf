"""The data report: one page that needs no other file, to be looked at before a training begins."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from html import escape
from statistics import median

from training.data.case_pictures import as_data_uri, colour_of, picture_of
from training.data.cases import LabelledCase
from training.data.charts import Dot, histogram, scatter, strips
from training.data.checks import Checked
from training.data.compare_cases import OF_EXTENT, outliers
from training.data.examine import HISTOGRAM_HU, Examination, Facts
from training.data.problems import COLUMNS, Problem, errors_of
from training.data.splits import Split
from training.label_names import OUR_NUMBERS

MOST_PICTURES = 24
SYNTHETIC = "synthetic"
STYLE = """body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:62rem;padding:0 1rem;color:#222}
table{border-collapse:collapse;margin:.6rem 0;width:100%}td,th{border:1px solid #ddd;padding:.25rem .5rem;text-align:left;vertical-align:top}
th{background:#f3f3f3}.error{color:#b3261e}.warning{color:#8a5a00}td.n{text-align:right}figure{margin:1rem 0}
img{max-width:100%;background:#000}figcaption{font-size:.92em}h2{margin-top:2rem}"""

Rows = Iterable[Sequence[str]]


def report_page(
    checked: Checked, split: Split | None = None, most_pictures: int = MOST_PICTURES
) -> str:
    """All of it as HTML."""
    facts = [(one, one.facts) for one in checked.examinations if one.facts is not None]
    parts = [
        f"<h1>{escape(checked.found.title)}</h1>",
        _summary(checked),
        "<h2>What is wrong</h2>",
        _problem_table(checked.problems),
        "<h2>Sizes</h2>",
        _sizes([fact for _, fact in facts]),
        scatter(
            (
                (f.spacing_mm[2], Dot(value=f.spacing_mm[0], says=one.name, is_marked=False))
                for one, f in facts
            ),
            "pixel, mm",
            "slice step, mm",
        ),
        "<h2>Hounsfield units</h2><p>Share of the voxels in bins of "
        f"{HISTOGRAM_HU[2]} HU; a thin line per case, the thick one is their mean.</p>",
        histogram([f.hu_counts for _, f in facts], HISTOGRAM_HU[:2], "HU"),
        "<h2>What is labelled</h2>",
        _coverage([fact for _, fact in facts]),
        "<h2>Volumes</h2><p>Of structures that lie whole in the field; red: far from the others.</p>",
        _volumes(checked.examinations),
        *(_split_part(split) if split is not None else ()),
        "<h2>Cases to look at</h2>",
        *_suspicious(checked, most_pictures),
    ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{escape(checked.found.title)}</title><style>{STYLE}</style></head>"
        f"<body>{''.join(parts)}</body></html>\n"
    )


def _summary(checked: Checked) -> str:
    found, examined = checked.found, checked.examinations
    patients = len({case.patient for case in found.cases})
    errors = len(errors_of(checked.problems))
    warnings = len(checked.problems) - errors
    readable = sum(one.facts is not None for one in examined)
    lines = [
        f"{len(found.cases)} cases of {patients} patients; {readable} can be read (data {checked.data_hash}).",
        f'<b class="{"error" if errors else ""}">{errors} errors</b>, {warnings} warnings.'
        + (" Training stops until the errors are mended." if errors else ""),
    ]
    if found.layout == SYNTHETIC:
        lines.append("<b>Synthetic CT: made by code, no patient's images.</b>")
    elif len(found.cases) > 1 and all(case.patient == case.name for case in found.cases):
        lines.append("This layout does not say which scans are of one person: each counts as one.")
    lines += [escape(note) + "." for note in found.notes]
    return "".join(f"<p>{line}</p>" for line in lines)


def _table(head: Sequence[str], rows: Rows, numeric_from: int = 99) -> str:
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{' class=n' if n >= numeric_from else ''}>{cell}</td>"
            for n, cell in enumerate(row)
        )
        + "</tr>"
        for row in rows
    )
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    return f"<table><tr>{titles}</tr>{body}</table>"


def _problem_table(problems: Sequence[Problem]) -> str:
    if not problems:
        return "<p>Nothing.</p>"
    rows = [
        (f'<b class="{p.kind}">{p.kind}</b>', *(escape(cell) for cell in p.cells)) for p in problems
    ]
    return _table(("", *COLUMNS), rows)


def _sizes(facts: Sequence[Facts]) -> str:
    if not facts:
        return "<p>No case can be read.</p>"
    quantities: Mapping[str, Callable[[Facts], float]] = {
        "slices": lambda f: f.shape[0],
        "rows": lambda f: f.shape[1],
        "columns": lambda f: f.shape[2],
        "slice step, mm": lambda f: f.spacing_mm[0],
        "pixel (row), mm": lambda f: f.spacing_mm[1],
        "pixel (column), mm": lambda f: f.spacing_mm[2],
        "height of the field, mm": lambda f: f.shape[0] * f.spacing_mm[0],
        "width of the field, mm": lambda f: f.shape[2] * f.spacing_mm[2],
    }
    rows = []
    for name, of in quantities.items():
        values = [of(fact) for fact in facts]
        rows.append((name, *(f"{v:.4g}" for v in (min(values), median(values), max(values)))))
    return _table(("", "least", "median", "most"), rows, numeric_from=1)


def _coverage(facts: Sequence[Facts]) -> str:
    rows = []
    for name in OUR_NUMBERS:
        labelled = [fact for fact in facts if name in fact.labelled]
        if not labelled:
            continue
        volumes = [v for fact in labelled if (v := fact.volumes_ml.get(name))]
        cut = sum(name in fact.cut for fact in labelled)
        middle = f"{median(volumes):.3g}" if volumes else ""
        extent = f"{min(volumes):.3g} to {max(volumes):.3g}" if volumes else ""
        counts = (str(len(labelled)), str(len(volumes)), str(cut))
        rows.append((name.replace("_", " "), str(OUR_NUMBERS[name]), *counts, middle, extent))
    if not rows:
        return "<p>Nothing that can be read.</p>"
    head = ("structure", "our number", "cases that label it", "it is there", "cut by the field")
    return _table((*head, "median, ml", "range, ml"), rows, numeric_from=1)


def _volumes(examinations: Sequence[Examination]) -> str:
    marked = {(outlier.case, outlier.name) for outlier in outliers(examinations)}
    rows: dict[str, list[Dot]] = defaultdict(list)
    for name in OUR_NUMBERS:
        for one in examinations:
            if one.facts is None or name in one.facts.cut or name in OF_EXTENT:
                continue
            if volume_ml := one.facts.volumes_ml.get(name):
                says = f"{one.name}: {volume_ml:.3g} ml"
                is_marked = (one.name, name) in marked
                dot = Dot(value=volume_ml, says=says, is_marked=is_marked)
                rows[name.replace("_", " ")].append(dot)
    return strips(rows, "ml") or "<p>No structure lies whole in its field.</p>"


def _split_part(split: Split) -> Iterator[str]:
    yield "<h2>Split</h2>"
    rows = [(escape(part), str(len(names))) for part, names in split.parts.items()]
    yield _table(("part", "cases"), rows, numeric_from=1)


def _suspicious(checked: Checked, most: int) -> Iterator[str]:
    """Cases with problems, those with errors first, each with what is said against it."""
    said: defaultdict[str, list[Problem]] = defaultdict(list)
    for problem in checked.problems:
        said[problem.case].append(problem)
    cases: Mapping[str, LabelledCase] = {case.name: case for case in checked.found.cases}
    facts = {one.name: one.facts for one in checked.examinations}
    wanted = [name for name in said if name in cases]
    if not wanted:
        yield "<p>None.</p>"
    for name in wanted[:most]:
        lines = "".join(f'<li class="{p.kind}">{escape(p.found)}</li>' for p in said[name])
        picture = picture_of(cases[name])
        image = "" if picture is None else f'<img alt="" src="{as_data_uri(picture)}">'
        image += _legend(facts.get(name))
        yield f"<figure>{image}<figcaption><b>{escape(name)}</b><ul>{lines}</ul></figcaption></figure>"
    if len(wanted) > most:
        yield f"<p>… and {len(wanted) - most} more without a picture.</p>"


def _legend(facts: Facts | None) -> str:
    if facts is None:
        return ""
    shown = (
        f'<span style="color:{colour_of(name)}">■</span> {name.replace("_", " ")}'
        for name in OUR_NUMBERS
        if name in facts.volumes_ml
    )
    return f"<div>{' '.join(shown)}</div>"
