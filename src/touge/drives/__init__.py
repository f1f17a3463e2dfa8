"""Drives: ego poses and cameras on one clock, from any log format or from the synthetic world.

First station of the data flow: `readers` turn files into `Drive`s, `synthetic` makes files and
drives where there is no log. Curation, the next station, sees only the port in `drive`.
"""
