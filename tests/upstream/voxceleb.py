"""VoxCeleb: WAV by speaker and video (1), AAC that somebody turned into WAV (2), tables of speakers, lists of splits and trials."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests import sounds
from tests.upstream import Written

SPEAKERS = {"id10001": "dev", "id10002": "dev", "id10270": "test", "id10271": "test"}
SPEAKERS_2 = {"id00012": "dev", "id00015": "dev", "id00017": "test"}
HEADER = "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet"
HEADER_2 = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set "


def write(folder: Path, seed: int) -> dict[str, list[Written]]:
    """Three videos of each speaker, one of each split for identification, the first of them with two utterances or three."""
    draw = np.random.default_rng(seed)
    splits = ("train", "validation", "test", "vox1-dev", "vox1-test", "vox2-dev", "vox2-test")
    written: dict[str, list[Written]] = {split: [] for split in splits}
    listed = []
    for position, (speaker, split) in enumerate(SPEAKERS.items()):
        for number, identification in enumerate(("train", "validation", "test"), start=1):
            video = f"{speaker}/{_video(draw)}"
            for utterance in range(1, 3 + (number == 1)):
                path = f"{video}/{utterance:05}.wav"
                sounds.write(folder / "wav" / path, draw, tone=position, rate_hertz=16_000)
                listed.append(f"{number} {path}")
                for name in (identification, f"vox1-{split}"):
                    written[name].append(Written(f"wav/{path}", position, video))
    _write_second(folder, draw, written)
    _write_tables(folder)
    (folder / "iden_split.txt").write_text("\n".join(listed) + "\n", encoding="ascii")
    tested = [line.split()[1] for line in listed if SPEAKERS[line[2:9]] == "test"]
    trials = [f"{int(one[:7] == other[:7])} {one} {other}" for one, other in zip(tested, tested[3:], strict=False)]
    (folder / "veri_test.txt").write_text("\n".join(trials) + "\n", encoding="ascii")
    return written


def _write_second(folder: Path, draw: np.random.Generator, written: dict[str, list[Written]]) -> None:
    """VoxCeleb2, where beside each AAC file lies the WAV file made of it."""
    for position, (speaker, split) in enumerate(SPEAKERS_2.items()):
        for video in sorted(_video(draw) for _ in range(3)):
            inside = f"aac/{speaker}/{video}"
            sounds.write(folder / inside / "00001.wav", draw, tone=position, rate_hertz=16_000)
            (folder / inside / "00001.m4a").write_bytes(b"\0\0\0\x1cftypM4A \0\0\2\0")
            written[f"vox2-{split}"].append(Written(f"{inside}/00001.wav", position, f"{speaker}/{video}"))


def _write_tables(folder: Path) -> None:
    rows = [
        f"{speaker}\tA.J._{speaker}\t{'mf'[n % 2]}\tUK\t{split}" for n, (speaker, split) in enumerate(SPEAKERS.items())
    ]
    (folder / "vox1_meta.csv").write_text("\n".join([HEADER, *rows]) + "\n", encoding="utf-8")
    rows = [f"{speaker} ,n000012 ,{'mf'[n % 2]} ,{split} " for n, (speaker, split) in enumerate(SPEAKERS_2.items())]
    (folder / "vox2_meta.csv").write_text("\ufeff" + "\n".join([HEADER_2, *rows]) + "\n", encoding="utf-8")


def _video(draw: np.random.Generator) -> str:
    """A name as YouTube gives them."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return "".join(draw.choice(list(letters), 11))
