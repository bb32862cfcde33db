"""A server without checks: it adds every readable message, finite or not, of any age, and every copy."""

from fl_jax.faults.fault import Fault


def trusting() -> Fault:
    """Makes the fault, which shows what the server's checks are worth; not for training."""
    return Fault("trusting", trusting=True)
