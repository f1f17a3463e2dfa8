"""English phrasings of manoeuvres, for `sentences`. Text only: slots are filled there.

Each says no more than label and features know. Slots: {side}, {other}, {tight}, {where}, {angle}, {speed} (an
imperative: "slow down") and the same with a capital: {Side}, {Speed}.
"""

from __future__ import annotations

from touge.language.vocabulary import Pace, Phrasings, Vocabulary
from touge.motion.labels import Direction

ENGLISH = Vocabulary(
    sides={Direction.LEFT: "left", Direction.RIGHT: "right"},
    tightness={
        "<15": "hairpin",
        "15-30": "very tight",
        "30-60": "tight",
        "60-100": "sharp",
        "100-150": "moderate",
        "150-280": "gentle",
        "280-460": "very gentle",
    },
    near="just ahead",
    far="in about {metres} m",
    paces={
        Pace.SLOWER: ({"speed": "slow down"}, {"speed": "reduce speed"}, {"speed": "ease off"}),
        Pace.SAME: ({"speed": "hold the speed"}, {"speed": "maintain speed"}, {"speed": "keep a steady speed"}),
        Pace.FASTER: ({"speed": "speed up"}, {"speed": "accelerate gently"}, {"speed": "pick up speed"}),
    },
    phrasings=Phrasings(
        curve=(
            "{Side} curve {where}, {tight}, about {angle} degrees: {speed}.",
            "Adapt speed for the {tight} {side} curve {where}: {speed}.",
            "{Speed} for the {tight} {side} curve {where}, since the road bends {side} by about {angle} degrees.",
            "The road bends {side} {where}, a {tight} curve of about {angle} degrees, so {speed}.",
            "{Speed} because a {tight} {side} bend of about {angle} degrees comes {where}.",
            "Follow the {tight} {side} bend {where} and {speed}.",
            "A {tight} curve to the {side} begins {where}; {speed} and turn by about {angle} degrees.",
            "Keep lane through the {tight} {side}-hand curve {where} and {speed}.",
            "Steer {side} to follow the {tight} curve {where}, and {speed}.",
            "Since the lane curves {side} {where}, {speed} and follow the {tight} bend.",
        ),
        s_curve=(
            "Adapt speed for the {tight} S-curve {where}, {side} then {other}: {speed}.",
            "{Speed} for the {tight} S-curve {where}, first {side} and then {other}.",
            "The road bends {side}, then {other}, so {speed} through the {tight} S-curve {where}.",
            "{Speed} since the {tight} {side} curve {where} is followed by a {other} curve.",
            "Adapt speed for the {side} curve {where} and the {other} curve that follows; {speed}.",
            "A {tight} {side}-{other} S-curve comes {where}, so {speed}.",
            "Follow the {tight} S-curve {where}, first {side}, then {other}, and {speed}.",
            "Take the {tight} {side} bend {where}, then the {other} bend, and {speed}.",
            "S-curve {where}, {tight}, {side} then {other}: {speed}.",
        ),
        straight=(
            "Continue straight and {speed} since no bend is ahead.",
            "{Speed} on the straight road ahead.",
            "Keep going straight and {speed}.",
            "The road ahead is straight, so {speed}.",
            "Drive straight ahead and {speed}.",
            "Go straight along the road; {speed}.",
            "Since no bend is ahead, continue straight and {speed}.",
            "Proceed straight and {speed}.",
            "Keep lane on the straight road and {speed}.",
        ),
        turn=(
            "Turn {side} at the intersection {where} and {speed}.",
            "{Speed} and turn {side} at the intersection {where}.",
            "Make a {tight} {side} turn {where}: {speed}.",
            "Prepare for the {side} turn {where}, about {angle} degrees, and {speed}.",
            "At the intersection {where}, turn {side} by about {angle} degrees and {speed}.",
            "Take the {side} turn {where} and {speed}.",
            "{Speed} for the {side} turn {where}, about {angle} degrees.",
            "Turn {side} by about {angle} degrees {where}; {speed}.",
        ),
        lane_change=(
            "Change lanes to the {side} and {speed}.",
            "Lane change to the {side}; {speed}.",
            "Move into the {side} lane and {speed}.",
            "{Speed} while changing lanes to the {side}.",
            "Shift over to the {side} lane and {speed}.",
            "Make a {side} lane change and {speed}.",
            "Merge {side} into the next lane and {speed}.",
            "Switch lanes to the {side}, and {speed}.",
        ),
        stop=(
            "Stop and wait.",
            "Come to a stop and hold.",
            "Stop here and stay stopped.",
            "Brake to a standstill and wait.",
            "Hold the vehicle at a standstill.",
            "Stop and remain stationary.",
            "Bring the vehicle to a stop.",
            "Stay at a standstill for now.",
        ),
        creep=(
            "Creep forward slowly.",
            "Roll forward at walking pace.",
            "Move ahead at very low speed.",
            "Proceed at a crawl.",
            "Inch forward with care.",
            "Advance slowly for a few metres.",
            "Keep to walking pace.",
            "Move off slowly.",
        ),
        other=(
            "Keep lane and {speed}.",
            "Follow the road and {speed}.",
            "Stay in the lane and {speed}.",
            "{Speed} and follow the lane.",
            "{Speed} while keeping the lane.",
            "Maintain the lane and {speed}.",
            "Keep the current lane; {speed}.",
            "Continue along the lane and {speed}.",
        ),
    ),
)
