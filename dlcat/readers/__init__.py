"""Readers: files in upstream's own format to Examples, one file per format."""

from dlcat.readers.encoded import EncodedExamples as EncodedExamples
from dlcat.readers.examples import Bad as Bad
from dlcat.readers.examples import Example as Example
from dlcat.readers.examples import Examples as Examples
from dlcat.readers.examples import reader as reader
from dlcat.readers.unread import SoundExamples as SoundExamples
from dlcat.readers.unread import TextExamples as TextExamples
