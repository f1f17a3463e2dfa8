"""The Alpamayo-R1 model: composed from transformers' Qwen3-VL, in sizes from tiny to full by configuration.

In the order that data flows: `config` says every size; `inputs` turn a window into token ids, patches and positions,
`actions` its trajectory into what the expert flows to; `layers` are what `model` is made of, which computes losses;
`rollout` samples words by `nucleus` and trajectories; `weights` are read, adapted, quantised, written and exported;
`budget` is what a machine has and what the model spends of it; `tiny` is the smallest model that can learn.
Never imports what a configuration file names, and never knows of recipes, stores or stages.
"""
