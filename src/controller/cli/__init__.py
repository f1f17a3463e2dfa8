"""The command line: `python -m controller <verb>`, one small module a verb. Data to stdout, logs to stderr."""
