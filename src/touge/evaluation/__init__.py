"""The proof: rollouts of base and tuned on the same windows, scored, compared, judged, reported.

Data flow: samples -> `rollout` (the only module here that imports torch) -> predictions -> `metrics`,
`baselines`, `consistency` -> `scores` (a numerator and a denominator a window) -> `statistics` -> `gate`
-> `report`. Predictions made elsewhere enter at the second arrow.
"""
