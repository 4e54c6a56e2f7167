"""A process dies before any of its calls to the system, a file is torn anywhere: what is left is whole and complete."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from blogauto_otel.spool.file_format import MAGIC, encode
from blogauto_otel.spool.ownership import end_owner
from blogauto_otel.spool.store import ClaimedSegment
from tests.spool.failing_disk import Crash, Mortal, Store, a_request, free_files, item, items

BUDGET = 400  # bytes: four files of one item


class Scene:
    """A directory with two files and a segment in it, those who made them, and one who is about to die."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.mortal = self.store()
        self.acknowledged = {item(1), item(2), item(3)}
        self.attempted: set[bytes] = set()  # whether these are there depends on the moment
        self.delivered: set[bytes] = set()
        self.damaged = 0
        for number in (1, 2):
            self.mortal.spool.write(a_request(number))
        self.segment = self.mortal.spool.write(a_request(3), claim=True)

    def store(self) -> Store:
        return Store(self.directory, bytes=BUDGET)

    def write(self, *numbers: int, claim: bool = False, replaces: ClaimedSegment | None = None) -> None:
        request = a_request(*numbers)
        self.attempted.update(items(request))
        self.mortal.spool.write(request, claim=claim, replaces=replaces)
        self.acknowledged.update(items(request))

    def send_all(self, *, arrives: bool) -> None:
        spool = self.mortal.spool
        assert spool.lock()
        for file in spool.recover():
            segment = spool.claim(file)
            assert segment is not None
            request = spool.read(segment)
            if request is None:
                continue
            if arrives:
                self.delivered.update(items(request))
                spool.delete(segment)
            else:
                spool.release(segment)
        spool.unlock()

    def orphan(self) -> None:
        """Leave a claim and an unfinished file, as a process that died."""
        gone = self.store()
        assert gone.spool.claim(gone.spool.scan()[0]) is not None
        gone.disk.die_at(3)
        with pytest.raises(Crash):
            gone.spool.write(a_request(9))
        gone.die()


def _without_directory(scene: Scene) -> None:
    scene.directory = scene.directory / "deeper" / "still"
    scene.mortal = scene.store()
    scene.acknowledged = set()


def _damaged(scene: Scene) -> None:
    free_files(scene.directory)[0].write_bytes(b"?")
    scene.acknowledged.discard(item(1))
    scene.damaged = 1


def _over_the_limit(scene: Scene) -> None:
    scene.write(4)
    scene.acknowledged.discard(item(1))  # there is no room for it beside the next


def _nothing(scene: Scene) -> None:
    pass


WORK: dict[str, tuple[Callable[[Scene], object], Callable[[Scene], object]]] = {
    "write": (_nothing, lambda scene: scene.write(5)),
    "write where no directory is": (_without_directory, lambda scene: scene.write(5)),
    "write over the budget": (_over_the_limit, lambda scene: scene.write(5)),
    "begin a segment": (_nothing, lambda scene: scene.write(5, claim=True)),
    "add to a segment": (_nothing, lambda scene: scene.write(3, 5, claim=True, replaces=scene.segment)),
    "close a segment": (_nothing, lambda scene: scene.mortal.spool.release(scene.segment)),
    "send": (_nothing, lambda scene: scene.send_all(arrives=True)),
    "send in vain": (_nothing, lambda scene: scene.send_all(arrives=False)),
    "send what another process left": (Scene.orphan, lambda scene: scene.send_all(arrives=True)),
    "quarantine a damaged file": (_damaged, lambda scene: scene.send_all(arrives=True)),
}


@pytest.mark.parametrize("work", WORK)
def test_a_process_may_die_before_any_of_its_system_calls(tmp_path: Path, work: str) -> None:
    prepare, do = WORK[work]
    for calls in itertools.count():
        scene = Scene(tmp_path / str(calls))
        prepare(scene)
        survived = Mortal(calls).survives(partial(do, scene))
        end_owner(scene.mortal.spool._owner)
        _all_is_there(scene)
        if survived:
            break
    assert calls >= 4  # open the directory, look at it, change it, close it


def _all_is_there(scene: Scene) -> None:
    survivor = scene.store()
    found = {one for request in survivor.drain() for one in items(request)}
    assert scene.acknowledged - scene.delivered <= found
    assert survivor.spool.quarantined <= scene.damaged
    assert found <= scene.acknowledged | scene.attempted | scene.delivered | {item(1)}
    if survivor.spool.directory.exists():
        left = {path.name for path in survivor.spool.directory.iterdir() if path.suffix != ".bad"}
        assert left <= {".write.lock", ".drain.lock"}


ONE = encode(a_request(2))


def _prefixes() -> list[bytes]:
    return [ONE[:end] for end in range(len(ONE))]


def _flipped() -> list[bytes]:
    """All but the byte of the version: a file of a newer version is not damaged."""
    places = [(at, bit) for at in range(len(ONE)) if at != len(MAGIC) for bit in (0, 7)]
    return [ONE[:at] + bytes((ONE[at] ^ 1 << bit,)) + ONE[at + 1 :] for at, bit in places]


@pytest.mark.parametrize("contents", [_prefixes(), _flipped()], ids=["every prefix", "every byte"])
def test_a_damaged_file_affects_no_other_file(tmp_path: Path, contents: list[bytes]) -> None:
    store = Store(tmp_path / "spool")
    for content in contents:
        for number in (1, 2, 3):
            store.spool.write(a_request(number))
        free_files(store.spool.directory)[1].write_bytes(content)
        assert store.drain() == [a_request(1), a_request(3)]
    assert store.spool.quarantined == len(contents)
    assert store.losses() == {"spool_damaged": len(contents)}
