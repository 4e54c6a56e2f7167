"""The rates on the corpus: secrets missed, clean texts cut; and the file that is generated from the table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blogauto_otel.redaction import Redactor
from tests.redaction.corpus import rates
from tests.redaction.corpus.known_clean import known_clean
from tests.redaction.corpus.samples import Sample, generate
from tests.redaction.corpus.secrets import secrets
from tools import generate_collector_redaction as generator
from tools.collector_expressions import allowed_values


def test_the_corpus_is_large_and_the_repository_holds_no_secret() -> None:
    assert len(list(secrets())) >= 300
    assert len(list(known_clean())) >= 300
    assert all(sample.secrets for sample in secrets())
    assert len(rates.HELD_OUT.secrets) >= 100
    assert len(rates.HELD_OUT.clean) >= 100


@pytest.mark.parametrize("corpus", [rates.CORPUS, rates.HELD_OUT], ids=["corpus", "held out"])
def test_the_package_misses_and_cuts_little(corpus: rates.Corpus) -> None:
    found = rates.of_the_package(corpus)
    assert found.miss_rate <= rates.MOST_MISSED, found.missed
    assert found.false_positive_rate <= rates.MOST_CUT, found.cut


def test_a_redactor_that_does_nothing_misses_everything() -> None:
    found = rates.measure(lambda texts: texts)
    assert found.miss_rate == 1.0
    assert found.false_positive_rate == 0.0


def test_one_that_cuts_everything_misses_nothing() -> None:
    found = rates.measure(lambda texts: ["[redacted]"] * len(texts))
    assert found.miss_rate == 0.0
    assert found.false_positive_rate == 1.0


def test_a_part_of_a_secret_is_a_leak() -> None:
    sample = Sample("x", ("abcdefghijkl",))
    assert sample.leaks("... cdefghij ...")
    assert not sample.leaks("... cdefghi ...")


def test_the_same_description_gives_the_same_sample_and_another_seed_another() -> None:
    assert generate("«<w20>»") == generate("«<w20>»")
    assert generate("«<w20>»") != generate("«<w20>»", seed="other")


@pytest.mark.parametrize(
    "sample", [*rates.CORPUS.secrets, *rates.HELD_OUT.secrets], ids=lambda sample: sample.text[:40]
)
def test_doing_it_twice_changes_nothing(sample: Sample) -> None:
    redactor = Redactor()
    once = redactor.text(sample.text)
    assert redactor.text(once) == once


def test_a_value_that_the_collector_does_not_look_through_holds_no_secret() -> None:
    allowed = [re.compile(expression.replace("$$", "$")) for expression in allowed_values()]
    samples = [*rates.CORPUS.secrets, *rates.HELD_OUT.secrets]
    assert [one.text for one in samples if any(expression.search(one.text) for expression in allowed)] == []
    ordinary = ("GET", "/api/content/saved/17", "python-httpx/0.28.1", "https://example.org/a/b?page=2&size=10")
    assert all(any(expression.search(text) for expression in allowed) for text in ordinary)


def test_a_name_that_the_collector_does_not_look_through_names_no_secret() -> None:
    assert [name for name in generator.ORDINARY_KEYS if Redactor().is_secret_key(name)] == []


def test_the_collectors_stage_is_generated_from_the_table() -> None:
    assert generator.PATH.read_text() == generator.render(), "python -m tools.generate_collector_redaction"
    assert Path(generator.PATH).name == "process-redact.yaml"
