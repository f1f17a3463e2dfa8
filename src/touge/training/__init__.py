"""Training: curated samples and a base model in, an adapter or a checkpoint out.

In the order that data flows: `windows` and `frames` read samples and their pictures, `order` says which come
when, `inputs` turns them into batches, `draws` gives the flow its noise, `step` computes the loss (pure),
`optimiser` changes the weights, `loop` repeats that and answers to signals, `checkpoint` makes it resumable,
`metrics` tells how it went; `base_words` fills in reasoning before the first step, `stage` puts it all
together, `launch` starts one process or several. Never imports curation or evaluation.
"""
