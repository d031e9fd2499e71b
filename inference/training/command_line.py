"""How a command of this package ends where what it was given is wrong: with a sentence, not with a traceback."""

import zipfile
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterator
from contextlib import contextmanager

from inference.engine.weights import MissingWeights


@contextmanager
def in_a_sentence(parser: ArgumentParser) -> Iterator[None]:
    """Around what reads the input: what is missing of it or wrong with it ends the command."""
    try:
        yield
    except (OSError, MissingWeights, ValueError, zipfile.BadZipFile) as error:
        parser.error(str(error))


def positive(text: str) -> float:
    """The type of an argument that is a number above 0."""
    number = float(text)
    if not 0 < number < float("inf"):
        raise ArgumentTypeError(f"{text} is not above 0.")
    return number


def count(text: str) -> int:
    """The type of an argument that is a whole number, 0 or above."""
    number = int(text)
    if number < 0:
        raise ArgumentTypeError(f"{text} is below 0.")
    return number


def at_least_one(text: str) -> int:
    """The type of an argument that is a whole number, 1 or above."""
    number = count(text)
    if number == 0:
        raise ArgumentTypeError(f"{text} is below 1.")
    return number
