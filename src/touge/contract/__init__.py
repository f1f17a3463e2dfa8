"""What the controller and the containers agree on: recipe, plan, artifacts, environment, progress, exit codes.

Pure: values in, values out. Imports the standard library, pydantic and yaml only; the clock,
randomness and the environment come in as arguments.
"""
