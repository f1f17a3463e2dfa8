"""Trajectories as actions, actions as embeddings of the expert, and the flow from noise to them."""
