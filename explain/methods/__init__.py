"""The mathematics of explanations: numpy only, no Django, no sockets, no clock."""
