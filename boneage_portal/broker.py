"""The embedded broker: kombu's folder of messages, in which a message appears whole or not at all, and is seen soon."""

import os
from pathlib import Path
from queue import Empty
from time import monotonic, monotonic_ns, sleep
from uuid import uuid4

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    def _put(self, queue, payload, **kwargs):
        """Put a message onto the queue.

        kombu creates the file and writes it afterwards: on a busy machine a worker that looks in between takes an
        empty message, and dies of it.
        """
        folder = Path(self.data_folder_out)
        name = f"{monotonic_ns() // 1_000_000}_{uuid4()}"
        unfinished = folder / f"{name}.unfinished"
        try:
            unfinished.write_text(dumps(payload))
            os.replace(unfinished, folder / f"{name}.{queue}.msg")
        except OSError as error:
            raise ChannelError(f"Cannot put a message into {folder}.") from error


class Transport(filesystem.Transport):
    Channel = Channel
    glance_interval = 0.005  # seconds; a glance is one call of stat

    def drain_events(self, connection, timeout=None):
        """Deliver the next message. Raises TimeoutError where none comes within `timeout` seconds.

        kombu looks for messages and sleeps through `polling_interval`, half of which a study would wait on average.
        This one stops sleeping when the folder has changed; where a file system does not tell that, nothing is lost.
        """
        began = monotonic()
        while True:
            changed_at = self._changed_at()  # before the look: what comes during it ends the sleep
            try:
                return self.cycle.get(self._deliver, timeout=timeout)
            except Empty:
                if timeout is not None and monotonic() - began >= timeout:
                    raise TimeoutError from None
            looked = monotonic()
            while self._changed_at() == changed_at and monotonic() - looked < self.polling_interval:
                sleep(self.glance_interval)

    def _changed_at(self):
        return os.stat(self.client.transport_options["data_folder_in"]).st_mtime_ns
