"""Is everything there that a run needs: each check looks at one thing and says what to do about it.

Checks act as little as they can: in the store on objects that are removed again, in the cluster by asking.
"""
