"""Outcomes as a table for people and as JSON for programs."""

import json
from collections.abc import Sequence

from training.comparison.runs import Trained
from training.gate import Gate


def as_markdown(trained: Sequence[Trained], gate: Gate | None) -> str:
    """A row per configuration, a column per score; scores that a run does not have stay empty."""
    scores = list(dict.fromkeys(name for one in trained for name in one.scores))
    verdict = [str(gate)] if gate else []
    head = ["configuration", "parameters", "of the encoder", *scores, "steps", "seconds", *verdict]
    rows = [head, ["---"] * len(head)]
    for one in trained:
        encoder = one.encoder_parameters
        rows.append(
            [
                one.name,
                f"{one.parameters:,}",
                "" if encoder is None else f"{encoder:,}",
                *(f"{one.scores[name]:.3f}" if name in one.scores else "" for name in scores),
                str(one.history.step),
                f"{one.history.elapsed_s:.0f}",
                *([] if one.gate_holds is None else ["yes" if one.gate_holds else "**no**"]),
            ]
        )
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def as_page(trained: Sequence[Trained], gate: Gate | None, command: str, notes: str) -> str:
    """A page of docs/results: what was run, on what, and the table."""
    data = list(dict.fromkeys(one.history.training_data for one in trained))
    said = "\n".join(f"- {sentence}" for sentence in data)
    return (
        f"# {trained[0].name.partition('-')[0].capitalize()}: configurations compared\n\n"
        f"```sh\n{command}\n```\n\n{notes}\n\nTrained on:\n\n{said}\n\n{as_markdown(trained, gate)}"
    )


def as_json(trained: Sequence[Trained], gate: Gate | None) -> str:
    """Everything of the table."""
    rows = [
        {
            "name": one.name,
            "parameters": one.parameters,
            "encoder_parameters": one.encoder_parameters,
            "scores": dict(one.scores),
            "steps": one.history.step,
            "seconds": one.history.elapsed_s,
            "gate": str(gate) if gate else None,
            "gate_holds": one.gate_holds,
            "training_data": one.history.training_data,
        }
        for one in trained
    ]
    return json.dumps(rows, indent=2) + "\n"
