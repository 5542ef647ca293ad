"""One process has the store of an index folder; others ask it, over a socket in that folder.

In come the questions of ``Store``, out come its answers: ``lender`` gives them, ``borrowed`` is the
store that asks, ``wire`` is what goes between them. Only ``opening`` may call it.
"""
