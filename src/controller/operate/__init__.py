"""The controller that stays: it sees every run through, and tells how that goes over HTTP.

Level-triggered: a run's name in the queue means "look at it", and looking is `follow.tick`, as everywhere. Nothing is
remembered but what may be forgotten, so that it may die at any moment, and a second one or a command line may work on
the same runs.
"""
