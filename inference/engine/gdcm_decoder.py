"""Decode one JPEG, JPEG Lossless or JPEG-LS stream with GDCM, in a process that may die of it.

GDCM can crash on damaged bytes, and keep a processor busy for minutes: `decode` runs this file as a program and
gives up on it in time.
"""

import subprocess
import sys

MEMORY = 4 << 30  # bytes of address space; the largest picture allowed takes about two thousand million


class UndecodableStream(ValueError):
    """GDCM refused the stream, died of it or did not come to an end."""


def decode(stream: bytes, syntax: str, rows: int, columns: int, precision: int) -> bytes:
    """The samples of a greyscale stream, row by row: one byte each up to 8 bits of precision, else two, low first.

    `syntax` is the UID of the DICOM transfer syntax. Raises UndecodableStream.
    """
    command = [sys.executable, "-I", __file__, syntax, str(rows), str(columns), str(precision)]
    limit = 10 + rows * columns / 1e6  # seconds; an honest picture takes about a tenth for every million pixels
    try:
        child = subprocess.run(command, input=stream, capture_output=True, timeout=limit, check=True)
    except subprocess.SubprocessError:
        raise UndecodableStream from None
    if len(child.stdout) != rows * columns * (1 if precision <= 8 else 2):
        raise UndecodableStream
    return child.stdout


def main(syntax: str, rows: str, columns: str, precision: str) -> None:
    import resource

    import gdcm

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(sys.stdin.buffer.read())
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())

    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((int(columns), int(rows), 1))
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(gdcm.PhotometricInterpretation.MONOCHROME2))
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(syntax)))
    bits = int(precision)
    image.SetPixelFormat(gdcm.PixelFormat(1, 8 if bits <= 8 else 16, bits, bits - 1, 0))
    image.SetDataElement(element)
    # GDCM hands bytes over as text with surrogate escapes.
    sys.stdout.buffer.write(image.GetBuffer().encode("utf-8", "surrogateescape"))


if __name__ == "__main__":
    main(*sys.argv[1:])
