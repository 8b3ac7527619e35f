"""How an endpoint is called: the options of its protocol, the mapping of one that has none, its credential."""
