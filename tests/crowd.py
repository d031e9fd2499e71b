"""Many at once, for databases where statements really run side by side."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from django.db import connection

from clinical.accounts.scope import every_hospital

CROWD = 8


def at_once(act):
    """What came of `act(number)` done by a crowd at the same moment: results, exceptions among them."""
    barrier = Barrier(CROWD)

    def one(number):
        try:
            with every_hospital():
                barrier.wait()
                return act(number)
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(CROWD) as crowd:
        return list(crowd.map(one, range(CROWD)))
