"""Functions from `Algorithm` to `Algorithm`; they compose with every algorithm and layout.

| wrapper | effect |
|---|---|
| `ema` | evaluates with an exponential moving average of the server's models |
| `round_schedule` | scales the clients' learning rate by a factor per round |
| `keep_local` | keeps some layers at the sites: FedBN, FedPer, FedRep |
| `personal_model` | trains a second model at each site: Ditto, APFL |
| `federated_batch_stats` | aggregates BatchNorm running statistics, or keeps them at the sites (SiloBN) |

`recompute_batch_stats` is not a wrapper: it re-estimates BatchNorm statistics after training.
"""
