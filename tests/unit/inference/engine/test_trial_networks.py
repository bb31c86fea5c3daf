"""What an accelerator is tried on: every network of the profile, with an input on which it decides something."""

import numpy as np
import pytest

from inference.domain.analysis_profile import load_profile
from inference.engine.answers_compared import Decision
from inference.engine.model_store import verified_manifest
from inference.engine.onnx_session import session_of
from inference.engine.providers import CPU
from inference.engine.trial_inputs import AIR_HU, BONE_HU, slab_hu
from inference.engine.trial_networks import trial_networks

NETWORKS = {one.name: one for one in trial_networks(load_profile("abdomen"))}


def test_every_network_of_the_profile_is_tried() -> None:
    assert tuple(NETWORKS) == load_profile("abdomen").models
    assert {name: list(one.outputs.values()) for name, one in NETWORKS.items()} == {
        "l3-level": [Decision.PLACE],
        "l3-spine": [Decision.PLACE],
        "l3-tissue": [Decision.CHANNEL],
        "organs": [Decision.CHANNEL],
        "organs-vessels": [Decision.CHANNEL],
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_its_input_is_one_of_the_network_and_makes_it_decide(name: str) -> None:
    network = NETWORKS[name]
    session = session_of(network.path, name, ((CPU, {}),))
    (answer,) = session.run(list(network.outputs), dict(network.inputs))

    assert network.sha256 == verified_manifest(name).onnx_sha256
    # A network that says one and the same of everything would prove nothing.
    axis = 2 if Decision.PLACE in network.outputs.values() else 1
    assert len(np.unique(answer.argmax(axis))) > 1


@pytest.mark.parametrize(
    ("shape", "layout"),
    [((1, 1, 8, 40, 60), "NCZYX"), ((1, 1, 40, 60), "NCYX"), ((1, 2, 30, 60), "NCZW")],
)
def test_a_body_of_air_soft_tissue_and_bone(shape: tuple[int, ...], layout: str) -> None:
    hu = slab_hu(shape, layout)

    assert hu.shape == shape
    assert np.mean(hu < AIR_HU + 100) > 0.05
    assert np.mean((hu > -60) & (hu < 160)) > 0.2
    assert np.mean(hu > BONE_HU - 250) > 0.005
    np.testing.assert_array_equal(hu, slab_hu(shape, layout))
