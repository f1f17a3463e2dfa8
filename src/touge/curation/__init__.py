"""Drives to samples: windows -> features -> labels -> quality -> reasoning -> split -> balance -> JSONL.

Second station of the data flow, run as two stages (`python -m touge.curation`): `curate-map` cuts windows out of
this shard's drives, `curate` splits, balances and proves the whole. Every window is kept or counted with a reason;
nothing is padded or repaired.

In the order of the flow: `windows` where windows lie; `quality` why one is refused; `pictures` and `archive` its
frames; `reasoning` its words; `recorded` and `brought` make samples of drives and of rows made elsewhere;
`places`, `split`, `blocks`, `leakage`, `balance` work on the light index of `index`; `account` and `summary` tell
what came in, what went out and why.
"""
