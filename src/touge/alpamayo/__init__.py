"""The Alpamayo-R1 model: composed from transformers' Qwen3-VL, in sizes from tiny to full by configuration.

In the order that data flows: `config`, `vocabulary`, `tokenizer`, `prompt`, `images`, `positions`,
`trajectory_tokens` and `action_space` turn a window into numbers (`batches`, `batch`); `attention`, `decoder`,
`action_projection`, `expert`, `flow_matching` and `model` compute losses; `rollout` samples; `checkpoint`
(over `shards`, with `quantisation`) and `lora` read and write weights, `release` merges and exports them; `tiny` is the
smallest model that can learn.
Never imports what a configuration file names, and never knows of recipes, stores or stages.
"""
