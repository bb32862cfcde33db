"""Experiments: everything that the programs in `launch/` do.

| module | |
|---|---|
| `config`, `rules` | every setting and its checks |
| `run` | a whole experiment: cohort, dataset, arms, report |
| `prepare`, `data`, `arms` | dataset, partition, and the plan of each arm |
| `model`, `features`, `heads`, `federation`, `setup` | model, task, algorithm and aggregator of an arm |
| `train`, `rounds`, `record` | one arm's training |
| `checkpoint`, `checkpoint_summary`, `inputs`, `manifest`, `metrics`, `tracking` | what a training writes |
| `restore`, `predict`, `evaluate`, `explain`, `export` | use of a trained model |
| `labelled_predictions`, `compare_predictions`, `study_level` | comparison with labels and other programs |
| `machine`, `preemption`, `reporter` | cores, signals, progress |
| `runners` | one run of a sweep |
"""
