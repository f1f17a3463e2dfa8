"""Training: curated samples and a base model in, an adapter or a checkpoint out.

In the order that data flows: `samples` and `frames` read rows and their pictures, `order` says which come when,
`inputs` and `features` turn them into numbers, `draws` gives the flow its noise, `feed` makes a step's input of all
that; `weights` says what is trained, `step` computes the loss (pure), `optimiser` changes the weights by `moments` and
with `rounding` by chance, `loop` repeats that and answers to signals, `guards` watches it, `ranks` holds the
processes together, `sharding` splits the weights among them, `state` makes it resumable, `metrics` tells how it went;
`base_words` fills in reasoning before the first step, `stage` puts it all together, `launch` starts one process or
several, `failures` explains torch's errors. Never imports curation or evaluation.
"""
