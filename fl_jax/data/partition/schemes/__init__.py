"""Schemes that assign patients to sites, one per module; a config names one as a call, see `core.spec`."""
