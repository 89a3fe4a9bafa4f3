"""Put on PYTHONPATH: a Python that reaches nothing but this machine itself."""

import socket

_connect, _getaddrinfo = socket.socket.connect, socket.getaddrinfo
_HERE = ("127.0.0.1", "::1", "localhost")


def connect(self, address):
    """Connect to this machine only."""
    if self.family != socket.AF_UNIX and address[0] not in _HERE:
        raise OSError("no network in this test")
    return _connect(self, address)


def getaddrinfo(host, *arguments, **options):
    """Look up this machine only."""
    if host not in (None, *_HERE):
        raise OSError("no network in this test")
    return _getaddrinfo(host, *arguments, **options)


socket.socket.connect, socket.getaddrinfo = connect, getaddrinfo
