"""Tables that a sweep writes instead of its default ones; `config.tables` names a file here."""
