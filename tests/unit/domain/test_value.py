from dataclasses import replace

import pytest

from gateway.domain.value import value


@value
class Point:
    x: int
    y: int = 0


def test_values_are_equal_by_what_they_hold_and_can_be_keys():
    assert Point(x=1) == Point(x=1, y=0)
    assert Point(x=1) != Point(x=2)
    assert {Point(x=1): "here"}[replace(Point(x=3), x=1)] == "here"


def test_a_value_takes_keywords_alone_and_has_no_other_fields():
    with pytest.raises(TypeError):
        Point(1)
    with pytest.raises(AttributeError):
        Point(x=1).z = 2
