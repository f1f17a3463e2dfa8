"""Motion as numbers: arc length, features, label definitions, plausibility bounds, ego frames.

Shared by curation and evaluation. Pure: numpy in, numpy or frozen values out; no files, no clock, no images.

Trajectories are float64 [T, 3] x, y, yaw (metres, radians) at 10 Hz after t0, in the ego frame at t0: x forward,
y left, yaw counter-clockwise, so left is positive everywhere.
"""
