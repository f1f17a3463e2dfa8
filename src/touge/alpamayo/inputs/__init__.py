"""Windows into what the model computes on: token ids, patches, positions, one padded batch of tensors."""
