"""The Alpamayo-R1 model: composed from transformers' Qwen3-VL, in sizes from tiny to full by configuration.

In the order that data flows: `config`, `vocabulary`, `tokenizer`, `prompt`, `images`, `positions`,
`trajectory_tokens` and `action_space` turn a window into numbers (`batches`); `attention`,
`action_projection`, `expert`, `flow_matching` and `model` compute losses; `rollout` samples; `checkpoint`
and `lora` read and write weights; `guards` tell a training that learns from one that only runs.
Never imports what a configuration file names, and never knows of recipes, stores or stages.
"""
