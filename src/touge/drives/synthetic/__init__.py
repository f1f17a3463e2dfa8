"""A synthetic world for the demo and the tests, deterministic from a seed.

In the order that data flows: `road` (geometry) -> `vehicle` (motion along it) -> `scene`
(appearance) -> `render` (frames in true perspective) -> `defects` (what real logs suffer from) ->
`world` (which drives there are) -> `touge.drives.physical_ai_av_writer` (files).
"""
