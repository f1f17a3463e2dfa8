"""Words about driving: sentences that say a manoeuvre, and the parser that finds out which one a text says.

Shared by curation and evaluation. Pure: text, labels and features in, text and frozen values out. English and
Japanese.
"""
