"""Every profile, way and version under every fault ends in the evidence that the reference implies."""

from pathlib import Path

import pytest

from tests.matrix import CASES, run, table

DOCUMENT = Path(__file__).parents[2] / "docs/locks.md"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_cell_ends_in_its_evidence_and_stands_in_the_document(case):
    found = run(case)

    assert found
    assert found == {cell: case.expected(cell[0], cell[2], cell[1]) for cell in found}
    row = table({case.name: found}).splitlines()[-1]
    assert row in DOCUMENT.read_text().splitlines()
