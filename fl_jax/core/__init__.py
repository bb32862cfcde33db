"""The functional core: types, local training, random keys, rounds, and layouts."""
