"""What is in production: a store of packs, two aliases, a journal, and the ways from one pack to the next."""
