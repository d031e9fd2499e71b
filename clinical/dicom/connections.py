"""Closes what the library leaves open: a connection that the other side has cut."""

from pynetdicom import evt


def _keep(event):
    event.assoc.connection = event.assoc.dul.socket.socket


def _close(event):
    event.assoc.connection.close()


CLOSED_FOR_GOOD = [(evt.EVT_CONN_OPEN, _keep), (evt.EVT_CONN_CLOSE, _close)]
