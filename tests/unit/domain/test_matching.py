"""Which lock belongs to which listing."""

import pytest

from gateway.domain.matching import suggest
from gateway.domain.model import Accommodation


def listing(name, id_=None):
    return Accommodation(id=id_ or f"id of {name}", code=None, name=name)


def matched(locks, names, **options):
    found = suggest(locks, [listing(name) for name in names], **options)
    return {one.lock: one.listing.name for one in found}


@pytest.mark.parametrize(
    ("lock", "name"),
    [
        ("apt-101", "Apto 101"),
        ("apt101", "Apartamento 101"),
        ("APT 0101", "Apto. 101 -- Units: 2"),
        ("apto-101", "Edifício Aurora - Apt 101"),
        ("aurora-101", "Edifício Aurora 101"),
        ("sao-joao", "São João"),
        ("casa-azul", "Casa Azul"),
        ("flat-12", "Flat 12 (2 quartos)"),
    ],
)
def test_names_that_mean_the_same_match(lock, name):
    others = ["Apto 1010", "Apto 11", "Cobertura", "Aurora 102"]
    assert matched([lock], [name, *others]) == {lock: name}


@pytest.mark.parametrize(
    ("lock", "name"),
    [
        ("apt-101", "Apto 102"),
        ("apt-101", "Apto 1101"),
        ("aurora-101", "Aurora"),
        ("street-door", "Rua Aurora"),
        ("main", "Main house"),
        ("lock-1", "Loft"),
        ("apt-101", ""),
    ],
)
def test_another_number_or_a_generic_name_is_no_match(lock, name):
    assert matched([lock], [name]) == {}


def test_a_lock_that_fits_two_listings_equally_gets_none():
    assert matched(["apt-101"], ["Aurora 101", "Bonita 101"]) == {}
    assert matched(["aurora-101"], ["Aurora 101", "Bonita 101"]) == {"aurora-101": "Aurora 101"}


def test_each_lock_has_one_suggestion_and_the_best_come_first():
    found = suggest(
        ["apt-101", "aurora-102", "apt-103"],
        [listing("Aurora 101"), listing("Aurora 102"), listing("Apto 103")],
    )
    assert [one.lock for one in found] == ["apt-103", "aurora-102", "apt-101"]
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)
    assert "101" in found[-1].reason
    assert len(suggest(["apt-101"], [listing("Apto 101")], most=0)) == 0


def test_the_threshold_decides():
    assert matched(["azul"], ["Azulejo"], threshold=0.9) == {}
    assert matched(["azul"], ["Azulejo"], threshold=0.5) == {"azul": "Azulejo"}
