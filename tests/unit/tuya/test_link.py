"""How a connection is kept awake, and when it is given up."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from tinytuya.core.header import PREFIX_55AA_VALUE
from tinytuya.core.message_helper import TuyaMessage, pack_message

from gateway.errors import LockUnreachableError, WrongKeyError
from gateway.tuya.frames import HEART_BEAT, Version
from gateway.tuya.link import Endpoint, Link
from tests.virtual_time import in_virtual_time

PACE = 10.0
PONG = pack_message(
    TuyaMessage(1, HEART_BEAT, 0, bytes(4), 0, True, PREFIX_55AA_VALUE, None), hmac_key=None
)


@asynccontextmanager
async def a_peer(*, answers):
    """A peer that answers so many heartbeats: how to reach it, and when it was sent something."""
    heard = []

    async def talk(reader, writer):
        while await reader.read(4096):
            heard.append(asyncio.get_running_loop().time())
            if len(heard) <= answers:
                writer.write(PONG)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield (
            Endpoint(
                name="door",
                device_id="d-1",
                local_key="k" * 16,
                address="127.0.0.1",
                port=server.sockets[0].getsockname()[1],
                version=Version.V33,
                heartbeat=PACE,
            ),
            heard,
        )


async def listened(endpoint):
    """What ended the connection, and when."""
    link = await Link.open(endpoint)
    with pytest.raises(LockUnreachableError) as caught:
        await link.listen(lambda *_: None)
    await link.close()
    return type(caught.value), caught.value.reason, asyncio.get_running_loop().time()


@in_virtual_time
async def test_a_peer_is_kept_awake_and_given_up_after_three_heartbeats_without_an_answer():
    async with a_peer(answers=5) as (endpoint, heard):
        kind, why, at = await listened(endpoint)
    assert heard == pytest.approx([PACE * number for number in range(1, 9)])
    assert (kind, why) == (LockUnreachableError, "has fallen silent")
    assert at == pytest.approx(9 * PACE)


@in_virtual_time
async def test_one_that_never_answered_is_suspected_of_another_key():
    async with a_peer(answers=0) as (endpoint, heard):
        kind, why, at = await listened(endpoint)
    assert len(heard) == 3
    assert kind is WrongKeyError
    assert "wrong key?" in why
    assert at == pytest.approx(4 * PACE)


@pytest.mark.parametrize("later", [0.5, 3.7, 8.9, 9.5])
@in_virtual_time
async def test_all_peers_are_kept_awake_at_the_same_moments(later):
    async with (
        a_peer(answers=5) as (one, first),
        a_peer(answers=5) as (other, second),
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(listened(one))
        await asyncio.sleep(later)
        tasks.create_task(listened(other))
    assert 0.1 * PACE < second[0] - later <= 1.1 * PACE
    beats = [at / PACE for at in (*first, *second)]
    assert beats == pytest.approx([round(beat) for beat in beats])
