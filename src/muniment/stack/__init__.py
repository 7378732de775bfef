"""The embedded stack: Valkey, Chroma and the services as children of one process on one data folder.

``embedded`` runs it, ``supervision`` keeps children alive, ``children`` says which ones and how they are ready.
"""
