"""The smallest row of `make bench`, so that the benchmarks go on with the code; nothing is timed."""

from tests.benchmarks import reconciling
from tests.benchmarks.account import an_account
from tests.benchmarks.measuring import Figure, table


async def test_the_row_of_later_runs_measures_both_sides(tmp_path):
    async with an_account(200) as account:
        found = await reconciling.later_runs(tmp_path, account, 200, rounds=1)

    wall, cpu, changed, _, after, _ = found
    assert wall.ratio > 0
    assert cpu.ratio > 0
    assert "none changed" in wall.of
    assert "1 % changed" in changed.of
    assert "after a change" in after.of
    assert len(table(found).splitlines()) == 2 + len(found)


def test_a_target_is_met_from_its_own_side():
    most = Figure(row=1, of="a", value=9, unit="ms", ratio=2.0, target=2.5)
    least = Figure(row=4, of="b", value=9, unit="/s", ratio=19.0, target=20, least=True)
    plain = Figure(row=6, of="c", value=30, unit="ms", target=25)
    none = Figure(row=6, of="d", value=30, unit="ms")

    assert [one.met for one in (most, least, plain, none)] == [True, False, False, None]
