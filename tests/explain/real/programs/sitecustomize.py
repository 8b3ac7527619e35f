"""Python runs this first in every server's process: what wants to listen on all interfaces listens on loopback only.

KServe and Seldon have no setting for it, and no test may open a port to the network.
"""

import socket

HOME, EVERYWHERE = "127.0.0.1", {"", "0.0.0.0"}
_bind = socket.socket.bind


def bind(self, address):
    if self.family == socket.AF_INET and address[0] in EVERYWHERE:
        address = (HOME, *address[1:])
    return _bind(self, address)


socket.socket.bind = bind
