"""Model artifacts are opened here and nowhere else: in a process without secrets, network or anything to write to."""
