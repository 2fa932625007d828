"""WordNet: every field of a synset, every count held against what follows, and the index of words."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlcat.errors import InvalidError, VerificationError
from dlcat.readers import Bad, Example
from dlcat.readers.wordnet import synsets, wordnet, wordnet_synsets, wordnet_words

REAL = Path(__file__).parents[3] / "shared" / "mirror" / "wordnet-debian" / "WNdb-3.0.tar.gz"
LICENCE = "  1 This software and database is provided as is.  \n"
START = len(LICENCE)
BREATHE = (
    f"{START:08d} 29 v 02 breathe 0 take_a_breath 2 003 * {START:08d} v 0000 + 00831191 n 0102 !  00000002 v 0000 "
    "02 + 02 00 + 08 0a | draw air into, and expel out of; \"I can breathe better\"  \n"
).replace("!  ", "! ")  # fmt: skip


def _write(folder: Path, *lines: str, file: str = "data.verb", inside: str = "dict") -> Path:
    (folder / inside).mkdir(parents=True, exist_ok=True)
    (folder / inside / file).write_bytes((LICENCE + "".join(lines)).encode())
    return folder


def test_a_synset_has_words_relations_frames_and_a_gloss(tmp_path: Path) -> None:
    (found,) = wordnet_synsets(_write(tmp_path, BREATHE), "verb")
    synset = f"v{START:08d}"
    assert found == Example(
        {
            "id": synset,
            "words": ["breathe", "take_a_breath"],
            "relations": [
                {"name": "entailment", "synset": synset, "source": 0, "target": 0},
                {"name": "derivationally related form", "synset": "n00831191", "source": 1, "target": 2},
                {"name": "antonym", "synset": "v00000002", "source": 0, "target": 0},
            ],
            "gloss": 'draw air into, and expel out of; "I can breathe better"',
            "frames": [[2, 0], [8, 10]],
        },
        29,
        "dict/data.verb:2",
        synset,
    )


def test_a_satellite_is_an_adjective(tmp_path: Path) -> None:
    _write(tmp_path, f"{START:08d} 00 s 01 ablaze(p) 0 000 | burning  \n", file="data.adj")
    assert list(wordnet(tmp_path, "adj")) == [Example("burning", 0, "dict/data.adj:2", f"a{START:08d}")]


@pytest.mark.parametrize(
    ("line", "expected", "found"),
    [
        (BREATHE.replace(f"{START:08d} 29", "00000007 29"), f"the line's offset, {START:08d}", "'00000007'"),
        (BREATHE.replace("v 02", "v 2f"), "a synset", "94 fields are promised,"),
        (BREATHE.replace(" 003 ", " 030 "), "a synset", "120 fields are promised,"),
        (BREATHE.replace(" 003 ", " 002 "), "a synset", "invalid literal for int() with base 10: '!'"),
        (BREATHE.replace(" 003 ", " xxx "), "a synset", "invalid literal for int()"),
        (BREATHE.replace("* ", "? "), "a synset", "KeyError: '?'"),
        (BREATHE.replace(" n 0102", " n 01020"), "a synset", "pointer + 00831191 n 01020"),
        (BREATHE.replace("29 v", "29 n"), "a synset of type v, file 0 to 44, and a gloss", "'n', file 29"),
        (BREATHE.replace("29 v", "45 v"), "a synset of type v, file 0 to 44, and a gloss", "file 45"),
        (BREATHE.replace("29 v", "-1 v"), "a synset of type v, file 0 to 44, and a gloss", "file -1"),
        (BREATHE.replace("|", ""), "a synset", "fields too many"),
        (BREATHE.replace("0a |", "0a more |"), "a synset of type v", "1 fields too many"),
        (f"{START:08d} 29 v 01 no_gloss 0 000\n", "a synset of type v, file 0 to 44, and a gloss", "no gloss"),
        (f"{START:08d} \n", "a synset", "ValueError"),
        ("\n", f"the line's offset, {START:08d}", "''"),
    ],
)  # fmt: skip
def test_a_line_that_is_no_synset_is_named_and_the_next_is_read(
    tmp_path: Path, line: str, expected: str, found: str
) -> None:
    following = f"{START + len(line):08d} 30 v 01 next 0 000 00 | the next  \n"
    bad, good = synsets(_write(tmp_path, line, following), "verb")
    assert isinstance(bad, Bad)
    assert (bad.place, bad.expected[: len(expected)]) == ("dict/data.verb:2", expected)
    assert found in bad.found
    assert not isinstance(good, Bad)
    assert (good.words, good.place) == (("next",), "dict/data.verb:3")


def test_a_byte_that_is_no_utf_8_is_named(tmp_path: Path) -> None:
    _write(tmp_path)
    with open(tmp_path / "dict" / "data.verb", "ab") as stream:
        stream.write(f"{START:08d} 29 v ".encode() + b"\xe9\n")
    assert list(synsets(tmp_path, "verb")) == [Bad("dict/data.verb:2", "UTF-8", "byte 0xe9 at byte 15 of 15")]


def test_a_word_has_its_synsets_in_order_of_frequency(tmp_path: Path) -> None:
    good = "dog n 2 3 @ ~ ;u 2 1 02084071 10114209  \n"
    _write(tmp_path, good, good.replace("dog n 2", "cat n 3"), file="index.noun")
    word, bad = wordnet_words(tmp_path, "noun")
    record = {
        "word": "dog",
        "synsets": ["n02084071", "n10114209"],
        "relations": ["hypernym", "hyponym", "domain usage"],
    }
    assert word == Example(record | {"tagged": 1}, None, "dict/index.noun:2", "dog")
    assert isinstance(bad, Bad)
    assert (bad.place, bad.expected) == ("dict/index.noun:3", "a word as wndb(5WN) has it")


def test_a_folder_can_be_named_and_a_missing_one_is_said(tmp_path: Path) -> None:
    _write(tmp_path, BREATHE, inside="wordnet31")
    assert len(list(wordnet(tmp_path, "verb", inside="wordnet31"))) == 1
    with pytest.raises(
        VerificationError, match=r"expected data\.verb in wordnet or dict or WordNet-3\.0/dict, found none"
    ) as caught:
        list(wordnet(tmp_path, "verb"))
    assert caught.value.hint == "dlcat fetch wordnet --part nltk-3.0"
    with pytest.raises(InvalidError, match="no split named 'verbs'"):
        list(wordnet(tmp_path, "verbs"))


@pytest.mark.slow
@pytest.mark.skipif(not REAL.exists(), reason="the real files are not beside the project")
def test_the_real_files_are_read_to_the_last_line_and_their_relations_lead_somewhere(tmp_path: Path) -> None:
    import tarfile

    counts = {"verb": (13767, 11529), "adj": (18156, 21479), "adv": (3621, 4481)}
    with tarfile.open(REAL) as archive:
        for split in counts:
            for kind in ("data", "index"):
                archive.extract(f"dict/{kind}.{split}", tmp_path, filter="data")
    found = [each for split in counts for each in synsets(tmp_path, split)]
    words = {synset.id: len(synset.words) for synset in found if not isinstance(synset, Bad)}
    assert len(found) == len(words) == sum(count for count, _ in counts.values())
    relations = [each for synset in found if not isinstance(synset, Bad) for each in synset.relations]
    assert all(each.target <= words[each.synset] for each in relations if not each.synset.startswith("n"))
    for split, (_, count) in counts.items():
        entries = [each for each in wordnet_words(tmp_path, split) if isinstance(each, Example)]
        assert len(entries) == count
        assert all(synset in words for entry in entries for synset in entry.input["synsets"])
