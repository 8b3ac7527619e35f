"""What leaves the log: bundles that verify without this server, and the tables of the Log page."""
