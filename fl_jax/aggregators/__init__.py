"""One file an aggregator; the file's name is the aggregator's name."""
