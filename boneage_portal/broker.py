"""The embedded broker: kombu's folder of messages, in which a message appears whole or not at all."""

import os
from pathlib import Path
from time import monotonic_ns
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
