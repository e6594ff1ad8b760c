import asyncio
import gc

import pytest

from gateway.fairness import TURN, fairly, garbage_left, in_turns


async def turns_meanwhile(work):
    """What the work comes to, and how often another task had its turn during it."""
    turns = 0

    async def other():
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    task = asyncio.ensure_future(other())
    await asyncio.sleep(0)
    try:
        return await work, turns
    finally:
        task.cancel()


async def test_every_item_comes_in_its_order_and_others_get_their_turns():
    async def work():
        return [one async for one in fairly(range(10 * TURN + 1))]

    found, turns = await turns_meanwhile(work())

    assert found == list(range(10 * TURN + 1))
    assert turns == 10


async def test_a_few_items_take_no_turn_of_their_own():
    async def work():
        return [one async for one in fairly(range(TURN - 1))]

    assert await turns_meanwhile(work()) == (list(range(TURN - 1)), 0)


async def test_steps_come_to_what_they_return_and_others_get_their_turns():
    def steps():
        for _ in range(7):
            yield
        return "done"

    assert await turns_meanwhile(in_turns(steps())) == ("done", 7)


@pytest.fixture
def collecting():
    """Whatever other tests left: garbage is looked for."""
    before = gc.isenabled()
    gc.enable()
    yield
    if not before:
        gc.disable()


@pytest.mark.usefixtures("collecting")
def test_garbage_is_left_inside_the_block_alone_whatever_happens_in_it():
    with pytest.raises(ZeroDivisionError), garbage_left():
        assert not gc.isenabled()
        1 / 0  # noqa: B018 - it is to fail

    assert gc.isenabled()


@pytest.mark.usefixtures("collecting")
def test_who_looks_for_no_garbage_looks_for_none_afterwards():
    gc.disable()
    with garbage_left():
        assert not gc.isenabled()

    assert not gc.isenabled()
    gc.enable()
