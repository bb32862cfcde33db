"""Experiments: all that the programs in `launch/` do.

| module | |
|---|---|
| `config`, `rules` | every field once, and its checks before work begins |
| `run` | a whole experiment: cohort, dataset, arms, report |
| `prepare`, `data`, `arms` | dataset, partition, and the plan of each arm |
| `model`, `features`, `heads`, `federation`, `setup` | what an arm learns, and how |
| `train`, `rounds`, `record` | one arm's training |
| `checkpoint`, `inputs`, `manifest`, `metrics`, `tracking` | what it leaves |
| `restore`, `predict`, `labelled`, `export` | a trained model's use |
| `machine`, `preemption`, `reporter` | cores, signals, progress |
"""
