"""Simulated faults: what goes wrong at sites and on the network, one file per fault.

| fault | what happens | what the server does |
|---|---|---|
| `absent` | the site does not participate | continues without it |
| `drop_out` | the site leaves mid-round | continues without it; the site keeps its old state |
| `straggle` | the site takes fewer steps | accepts the message |
| `label_flip` | the site trains on wrong labels | a robust aggregator is the defence |
| `not_finite` | the message contains NaN or infinity | refuses it |
| `garble` | the message has a wrong structure, shape or dtype | refuses it |
| `stale` | the message is from an earlier round | refuses it |
| `duplicate` | the message arrives several times | accepts one copy |
| `explode`, `sign_flip` | the message is scaled | a robust aggregator is the defence |
| `trusting` | the server checks nothing | shows what its checks are worth |

`fault.build_faults` makes them from specs, `transport.with_faults` applies them to messages in front of any
aggregator, and `simulation.run_faulty_rounds` runs a federation with them. All faults derive from the run's
key, so every layout sees the same ones.

Sharp edges: faults act in the order of their specs. `stale` stores `delay` messages per site. A `trusting`
server also disables void rounds, so its model may become NaN.
"""
