"""Where a pod with GPUs may run: memory in, node affinity out, from one table that the chart shares. Pure."""
