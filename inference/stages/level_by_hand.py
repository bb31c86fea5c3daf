"""L3 where a person set it: what the network says counts for the end plates of that same body only."""

from inference.stages.locate_l3 import DEFAULT_HALF_BODY_MM, NO_END_PLATES, SpineLevel

SAME_PLACE_MM = 1.0
"""Nearer than this the network's middle of L3 and the person's are one."""


def spine_by_hand(z_mm: float, source: str, network: SpineLevel | None) -> SpineLevel:
    """The level set by hand, beside what the network found (None: no L3); nothing of its confidence is taken over."""
    flags = [source]
    if network is None:
        flags.append("the network alone found no L3")
    elif abs(step_mm := network.z_mm - z_mm) > SAME_PLACE_MM:
        side = "higher" if step_mm > 0 else "lower"
        flags.append(f"the network alone placed L3 {abs(step_mm):.0f} mm {side}")
    if network is not None and network.extent_mm[0] < z_mm < network.extent_mm[1]:
        extent_mm = network.extent_mm
        flags += [flag for flag in network.flags if flag == NO_END_PLATES]
    else:
        extent_mm = (z_mm - DEFAULT_HALF_BODY_MM, z_mm + DEFAULT_HALF_BODY_MM)
        flags.append(NO_END_PLATES)
    return SpineLevel(z_mm=z_mm, extent_mm=extent_mm, confidence=None, flags=tuple(flags))
