"""Surgery on an organ: what to teach, the training, the merge, and the ledger of attempts.

torch, transformers, peft, yaml and matplotlib are the extra `surgery`; they are imported here alone, and only
where they are used.
"""
