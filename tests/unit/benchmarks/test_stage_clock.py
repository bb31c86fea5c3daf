"""Stages of a benchmark add up to the whole, whatever lies in what."""

from tests.benchmarks.stage_clock import StageClock


class Network:
    """Two seconds an answer."""

    def __init__(self, watch: "Watch") -> None:
        self.watch = watch

    def forward(self, image: str) -> str:
        self.watch.seconds += 2.0
        return image.upper()


class Watch:
    """Stands still unless told otherwise."""

    seconds = 10.0

    def __call__(self) -> float:
        return self.seconds


def test_a_stage_inside_another_is_taken_off_it() -> None:
    watch = Watch()
    clock, network = StageClock(watch), Network(watch)
    clock.wrap(network, "forward", "network")

    watch.seconds += 5
    with clock.stage("other"):
        watch.seconds += 0.5
        assert network.forward("a") == "A"
        network.forward("b")
        watch.seconds += 0.25
    with clock.stage("network"):
        watch.seconds += 1

    assert clock.spent_s == {"other": 0.75, "network": 5.0}
    assert clock.calls == {"other": 1, "network": 3}
    clock.restart()
    assert (clock.spent_s, clock.calls) == ({}, {})
