"""An evaluation that was stopped goes on; scores of other models are never mixed in."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import SHIPPED_MODELS
from tests.unit.training.painted_evaluation.level_scores import case
from tests.unit.training.templates.tiny_torso import tiny_template
from training.evaluate_painted import main
from training.painted_evaluation.cases import FIRST_SEED, EvaluatedCase, Part, order_of, planned
from training.painted_evaluation.picture import TRUE_LINE, case_picture
from training.painted_evaluation.run import Networks, Settings, evaluated, kept_scores, score_case
from training.painted_evaluation.scores import CaseScore
from training.templates.case import make_painted_case
from training.templates.naming import template_in_words


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("templates") / "tiny.npz"
    tiny_template().write(path)
    return path


@pytest.fixture
def settings(template: Path) -> Settings:
    return Settings(
        templates=(template,),
        models=SHIPPED_MODELS,
        parts=frozenset({Part.TISSUE}),
        has_variants=False,
    )


def silent(_done: int, _score: CaseScore) -> None:
    pass


def test_what_was_scored_is_not_scored_again(settings: Settings, tmp_path: Path) -> None:
    lines = tmp_path / "lines.jsonl"
    kept_scores(settings, lines)
    known = [replace(case(FIRST_SEED + n), template="kept") for n in range(2)]
    with lines.open("a", encoding="utf-8") as file:
        file.writelines(score.to_json() + "\n" for score in known)

    orders = planned(["tiny"], 2, settings.possible, has_variants=False)
    reported: list[CaseScore] = []
    scores = evaluated(settings, orders, lines, 1, lambda _, score: reported.append(score))

    assert scores == known
    assert reported == []


def test_a_half_written_line_is_dropped_and_the_rest_kept(
    settings: Settings, tmp_path: Path
) -> None:
    lines = tmp_path / "lines.jsonl"
    kept_scores(settings, lines)
    with lines.open("a", encoding="utf-8") as file:
        file.write(case(FIRST_SEED).to_json() + "\n" + case(FIRST_SEED + 1).to_json()[:40])

    assert set(kept_scores(settings, lines)) == {FIRST_SEED}
    assert set(kept_scores(settings, lines)) == {FIRST_SEED}
    assert lines.read_text(encoding="utf-8").endswith("}\n")


@pytest.mark.parametrize(
    "change", [{"has_variants": True}, {"parts": frozenset({Part.TISSUE, Part.ORGANS})}]
)
def test_scores_of_other_settings_are_refused(
    settings: Settings, tmp_path: Path, change: dict[str, object]
) -> None:
    lines = tmp_path / "lines.jsonl"
    kept_scores(settings, lines)
    with pytest.raises(ConfigurationInvalid, match="--lines"):
        kept_scores(replace(settings, **change), lines)  # type: ignore[arg-type]


def test_each_set_of_models_has_a_file_of_scores(settings: Settings, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED_MODELS / "l3-tissue", tmp_path / "l3-tissue")
    alone = replace(settings, models=tmp_path)
    first = alone.digest
    assert alone.digest == first
    (tmp_path / "l3-tissue" / "calibration.toml").write_text("threshold = 0.5\n")
    calibrated = alone.digest
    shutil.copytree(SHIPPED_MODELS / "organs", tmp_path / "organs")
    organs_too = replace(alone, parts=frozenset({Part.TISSUE, Part.ORGANS}))
    assert alone.digest == calibrated
    assert len({first, calibrated, organs_too.digest}) == 3


def test_parts_without_a_network_are_left_out(settings: Settings, tmp_path: Path) -> None:
    for name in ("l3-tissue", "organs"):
        (tmp_path / name).symlink_to(SHIPPED_MODELS / name)
    every = replace(settings, models=tmp_path, parts=frozenset(Part))
    assert every.possible == {Part.TISSUE, Part.ORGANS}
    (tmp_path / "organs").unlink()
    assert every.possible == {Part.TISSUE}
    assert set(every.identity()["models"]) == {"l3-tissue"}


@pytest.mark.parametrize(
    ("parts", "networks"),
    [
        ({Part.LEVEL}, ("l3-level", "l3-tissue")),
        ({Part.TISSUE}, ("l3-tissue",)),
        ({Part.ORGANS}, ("organs",)),
        (set(Part), ("l3-level", "l3-tissue", "organs")),
    ],
)
def test_scores_depend_on_the_networks_that_were_asked_only(
    settings: Settings, tmp_path: Path, parts: set[Part], networks: tuple[str, ...]
) -> None:
    for name in ("l3-level", "l3-tissue", "organs"):
        (tmp_path / name).symlink_to(SHIPPED_MODELS / name)
    asked = replace(settings, models=tmp_path, parts=frozenset(parts))
    assert asked.networks == networks
    assert tuple(asked.identity()["models"]) == networks


def test_cases_from_the_command_line(template: Path, tmp_path: Path) -> None:
    """The shipped tissue network on painted slices: a table, a line a case, and the picture of one."""
    out = tmp_path / "painted.md"
    call = ["--template", str(template), "--only", "tissue", "--voxels", "100000"]
    run = [*call, "--cases", "2", "--workers", "1", "--out", str(out)]
    run += ["--lines", str(tmp_path / "lines.jsonl")]

    assert main([*run, "--no-gates"]) == 0
    text = out.read_text(encoding="utf-8")
    assert "says nothing about patients" in text
    assert "2 cases" in text
    (_, *lines) = (tmp_path / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    scores = [CaseScore.from_json(line) for line in lines]
    assert [score.seed for score in scores] == [FIRST_SEED, FIRST_SEED + 1]
    assert all(score.tissues and not score.organs and score.level is None for score in scores)
    assert main(run) == int("DO NOT HOLD" in text)

    picture = tmp_path / "case.png"
    assert main([*call, "--picture", str(FIRST_SEED), "--out", str(picture)]) == 0
    with Image.open(picture) as image:
        assert image.mode == "RGB"
        assert image.width > image.height > 50


@pytest.mark.parametrize("taught_as", ["itself", "what it is a relative of", "built otherwise"])
def test_an_anatomy_that_a_network_was_taught_is_no_test_of_it(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], taught_as: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(SHIPPED_MODELS / "l3-tissue", models / "l3-tissue")
    evaluated_on = tmp_path / "other.npz"
    is_relative = taught_as == "what it is a relative of"
    source = f"relatives of {template_in_words(template)}" if is_relative else "elsewhere"
    replace(tiny_template(), source=np.array(source)).write(evaluated_on)
    built_otherwise = tmp_path / "otherwise" / evaluated_on.name
    replace(tiny_template(), source=np.array("again")).write(built_otherwise)
    call = ["--template", str(evaluated_on), "--models", str(models), "--only", "tissue"]
    call += ["--voxels", "100000", "--cases", "1", "--workers", "1", "--no-gates"]
    call += ["--lines", str(tmp_path / "lines.jsonl")]
    taught = {
        "itself": evaluated_on,
        "what it is a relative of": template,
        "built otherwise": built_otherwise,
    }[taught_as]
    manifest = models / "l3-tissue" / "manifest.json"
    told = json.loads(manifest.read_text())
    told["training_data"] = f"9 patients painted from label maps [{template_in_words(taught)}]"
    manifest.write_text(json.dumps(told))

    assert main(call) == ConfigurationInvalid.exit_status
    assert "which was trained on other" in capsys.readouterr().err
    capsys.readouterr()
    assert main([*call, "--seen", "--skip", "1"]) == 0
    assert f"1 cases, seeds from {FIRST_SEED + 1}" in capsys.readouterr().out


def test_every_part_of_a_case_is_scored_and_drawn(settings: Settings) -> None:
    """The shipped networks on a coarse painted abdomen."""
    painted = make_painted_case(
        tiny_template(),
        FIRST_SEED,
        spacing_mm=(6.0, 5.0, 5.0),
        shape_rc=(72, 92),
        field=lambda patient: (patient.l3_extent_mm[0] - 40, patient.l3_extent_mm[1] + 70),
    )
    every = replace(settings, parts=frozenset(Part))
    networks = Networks(every)
    case = EvaluatedCase(painted=painted, field_kind="whole")
    score = score_case(case, order_of(FIRST_SEED, ["tiny"], every.possible), networks)

    assert score.level is not None
    assert "skeletal_muscle" in score.tissues
    assert {"liver", "kidney_left"} <= set(score.organs)
    drawn = np.asarray(case_picture(case, networks))
    assert (drawn == TRUE_LINE).all(axis=-1).any()


@pytest.mark.parametrize(
    "arguments",
    [["--only", "levels"], ["--cases", "0"], ["--picture", "5"], ["--only", ""], ["--skip", "-1"]],
)
def test_wrong_arguments_are_said(
    template: Path, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--template", str(template), *arguments]) == ConfigurationInvalid.exit_status
    assert "found" in capsys.readouterr().err
