"""A profile that asks a finer network near some organs can be evaluated without that network, and without organs."""

from dataclasses import replace

import pytest

from inference.domain.analysis_profile import Profile, load_profile
from inference.engine.model_store import SHIPPED_MODELS
from training.painted_evaluation.run import without_organs
from training.real import answer
from training.real.answer import profile_in


def looking_closer() -> Profile:
    return replace(
        load_profile("abdomen"), fine_organ_model="not-there", fine_organs_about=("aorta",)
    )


def test_a_folder_without_the_finer_network_is_asked_without_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(answer, "load_profile", lambda _name: looking_closer())

    profile = profile_in(SHIPPED_MODELS)

    assert profile.organ_model == "organs"
    assert (profile.fine_organ_model, profile.fine_organs_about) == (None, ())


def test_body_composition_alone_asks_neither() -> None:
    profile = without_organs(looking_closer())

    assert (profile.organ_model, profile.fine_organ_model) == (None, None)
    assert profile.fine_organs_about == ()
