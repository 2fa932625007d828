"""parallel_text: the corpora of WMT18's news task, sentences and their translations (Bojar et al. 2018)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from dlcat.errors import InvalidError, VerificationError, nearest
from dlcat.readers.examples import Bad, Example, expect, for_split, reader
from dlcat.readers.sentences import column_pairs, line_pairs, sgml_pairs, tmx_pairs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from dlcat.readers.sentences import Pair

Languages = Literal[
    "cs-en", "de-en", "et-en", "fi-en", "ru-en", "tr-en", "zh-en",
    "en-cs", "en-de", "en-et", "en-fi", "en-ru", "en-tr", "en-zh",
]  # fmt: skip
SPLITS = {"train": (), "validation": ("newstest2017",), "test": ("newstest2018",)}
"""The sets of each split; training is made of corpora."""
OTHER_VALIDATION = {"et": ("newsdev2018",), "fi": ("newstest2017", "newstestB2017")}


@dataclass(frozen=True, slots=True)
class Corpus:
    """Where a corpus lies; in its paths {x} stands for the language beside English, {y} for that of the file."""

    languages: str
    """Those it has beside English."""
    path: str
    """Of two files of lines with one path, of columns, or of a translation memory."""
    part: str = ""
    """Of the catalog; its own name where nothing is said."""
    form: Literal["lines", "tabs", "bars", "tmx", "books"] = "lines"


CORPORA = {
    "europarl-v7": Corpus("cs de", "training/europarl-v7.{x}-en.{y}"),
    "europarl-v8": Corpus("et fi", "training/europarl-v8.{x}-en.{y}"),
    "paracrawl": Corpus("cs de et fi ru", "paracrawl-release1.en-{x}.zipporah0-dedup-clean.{y}", "paracrawl-{x}"),
    "commoncrawl": Corpus("cs de ru", "commoncrawl.{x}-en.{y}"),
    "news-commentary": Corpus("cs de ru zh", "training-parallel-nc-v13/news-commentary-v13.{x}-en.{y}"),
    "rapid2016": Corpus("de et fi", "rapid2016.{sorted}.{y}"),
    "wiki-titles": Corpus("fi ru", "wiki/{x}-en/{stem}.{x}-en", form="bars"),
    "un": Corpus("ru zh", "en-{x}/UNv1.0.en-{x}.{y}", "un-{x}"),
    "setimes": Corpus("tr", "en-{x}.tmx", form="tmx"),
    "cwmt": Corpus("zh", "", form="books"),
    "preprocessed": Corpus("cs de zh", "preprocessed-{x}-en-corpus", "preprocessed-{x}-en", form="tabs"),
}
"""In the order they are read; the last holds others anew, tokenised, and is read only when it is asked for."""
BOOKS = ("casia2015", "casict2011", "casict2015", "datum2015", "datum2017", "neu2017")


@reader(gives="records")
def parallel_text(
    folder: Path, split: str, *, pair: Languages = "de-en", corpora: tuple[str, ...] = (), empty: bool = False
) -> Iterator[Example | Bad]:
    """Sentences of a language (`source`) and their translations (`target`), of WMT18's news task (Bojar et al. 2018).

    Training is made of all the task's corpora of a pair that can be fetched, or of those in `corpora`. A pair of which
    one side is empty is left out, as everybody does, unless `empty`. The group is the document, where files tell it.
    """
    first, second = pair.split("-")
    other = second if first == "en" else first
    sets = for_split(split, SPLITS)
    if sets:
        found = _sets(folder, other, OTHER_VALIDATION.get(other, sets) if split == "validation" else sets)
    else:
        found = _corpora(folder, other, corpora)
    for each in found:
        if isinstance(each, Bad):
            yield each
            continue
        place, foreign, english, document = each
        if empty or (foreign and english):
            source, target = (english, foreign) if first == "en" else (foreign, english)
            yield Example({"source": source, "target": target}, None, place, document)


def _sets(folder: Path, other: str, sets: tuple[str, ...]) -> Iterator[Pair | Bad]:
    """Development and test sets, as translations into English; those from English hold the same sentences."""
    for name in sets:
        source, reference = (folder / "dev" / f"{name}-{other}en-{end}.sgm" for end in (f"src.{other}", "ref.en"))
        yield from sgml_pairs(source, reference, folder, "dlcat fetch wmt18")


def _corpora(folder: Path, other: str, names: tuple[str, ...]) -> Iterator[Pair | Bad]:
    """The corpora of a pair, one after another.

    Raises:
        InvalidError: one of the names is none, or a corpus of other languages.
        VerificationError: one is not there.
    """
    of_pair = [name for name, corpus in CORPORA.items() if other in corpus.languages.split()]
    for name in names:
        if name not in of_pair:
            raise InvalidError(f"no corpus named {name!r} for {other}-en", hint=nearest(name, of_pair))
    chosen = list(names) or [name for name in of_pair if name != "preprocessed"]
    for name in chosen:
        yield from _corpus(folder, other, CORPORA[name], f"dlcat fetch wmt18 --part {CORPORA[name].part or name}")


def _corpus(folder: Path, other: str, corpus: Corpus, hint: str) -> Iterator[Pair | Bad]:
    hint = hint.format(x=other)
    if corpus.form == "books":
        return _books(folder, hint)
    ordered, stem = "-".join(sorted((other, "en"))), "titles" if other == "fi" else "wiki"
    one, english = (folder / corpus.path.format(x=other, y=y, sorted=ordered, stem=stem) for y in (other, "en"))
    match corpus.form:
        case "lines":
            return line_pairs(one, english, folder, hint)
        case "tmx":
            return tmx_pairs(one, folder, (other, "en"), hint)
        case "bars":
            return column_pairs(one, folder, "|||", hint)
        case _:
            return column_pairs(one, folder, "\t", hint)


def _books(folder: Path, hint: str) -> Iterator[Pair | Bad]:
    """The corpora of CWMT, whose Chinese files end in _ch or _cn, the English ones beside them in _en."""
    for book in BOOKS:
        chinese = sorted((folder / book).glob("*_c[hn].txt"))
        if not chinese:
            raise VerificationError(f"{folder / book}: expected files *_ch.txt or *_cn.txt, found none", hint=hint)
        for path in chinese:
            english = path.with_name(f"{path.name[:-7]}_en.txt")
            expect(english.is_file(), english, "the English side", "none")
            yield from line_pairs(path, english, folder, hint)
