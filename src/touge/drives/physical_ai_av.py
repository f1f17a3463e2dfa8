"""The PhysicalAI-AV layout: names of files and columns, agreed between its reader and its writer.

Facts: https://huggingface.co/datasets/nvidia/PhysicalAI-Autonomous-Vehicles and NVIDIA's devkit
`physical_ai_av`. A clip is 20 s; a chunk is a zip of some hundred clips of one feature.
"""

from __future__ import annotations

from types import MappingProxyType

FEATURES = "features.csv"
CLIP_INDEX = "clip_index.parquet"
SPLITS = "splits/default.parquet"
FEATURE_PRESENCE = "metadata/feature_presence.parquet"
#: The name of the above before release 26.03.
SENSOR_PRESENCE = "metadata/sensor_presence.parquet"
DATA_COLLECTION = "metadata/data_collection.parquet"
REASONING = "reasoning/ood_reasoning.parquet"

EGOMOTION = "egomotion"
INTRINSICS = "camera_intrinsics"
EXTRINSICS = "sensor_extrinsics"

#: Our column in `DATA_COLLECTION`: a key that drives through one place share. The real data set has no
#: such column, because each of its clips has a frame of its own.
PLACE = "place"

#: Data set's name of each camera.
CAMERA_FEATURES = MappingProxyType(
    {
        "cross_left": "camera_cross_left_120fov",
        "front_wide": "camera_front_wide_120fov",
        "cross_right": "camera_cross_right_120fov",
        "rear_left": "camera_rear_left_70fov",
        "rear_tele": "camera_rear_tele_30fov",
        "rear_right": "camera_rear_right_70fov",
        "front_tele": "camera_front_tele_30fov",
    }
)

#: Degree of the f-theta polynomials of `INTRINSICS`: angle to radius (forward) and back.
POLYNOMIAL_DEGREE = 4
