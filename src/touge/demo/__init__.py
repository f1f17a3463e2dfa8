"""The demo's own part: a base model that has the bias, trained honestly on straightened futures.

May import all of touge; nothing imports it.
"""
