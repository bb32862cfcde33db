"""A server that checks nothing: whatever can be added is added, finite or not, late or not, each copy."""

from fl_jax.faults.fault import Fault


def trusting() -> Fault:
    """Makes the fault, the server's own: to measure what its checks are worth, and for nothing else."""
    return Fault("trusting", trusting=True)
