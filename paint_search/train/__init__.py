"""Training a backbone end to end on pairs of works: two twins with one set of weights."""
